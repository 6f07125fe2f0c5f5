//! Reads the parts of a form by name and collects all faults.

use super::fault::{PartFault, Refusal, UploadError};
use crate::json::checked::{Faults, did_you_mean};
use crate::json::{self, Value, repaired};
use crate::trace::{Document, Format};

/// The part with a file of traces, which may be repeated.
pub(super) const TRACE_FILES: &str = "trace_files";

/// The part with the format of the traces.
const TRACE_FORMAT: &str = "trace_format";

/// Allowed endings of the names of trace files.
const SUFFIXES: [&str; 2] = [".json", ".jsonl"];

/// One part of a form.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Name of the file that it holds.
    pub file_name: Option<String>,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Part {
    /// Whether the part is empty and has no file name, as browsers send a file field without a chosen file.
    fn is_blank(&self) -> bool {
        self.bytes.is_empty() && self.file_name.as_deref().unwrap_or_default().is_empty()
    }
}

/// A form that is being read.
pub(super) struct UploadForm {
    parts: Vec<Part>,
    asked: Vec<&'static str>,
    missing: Vec<PartFault>,
    faults: Vec<PartFault>,
}

impl UploadForm {
    pub(super) fn new(parts: Vec<Part>) -> Self {
        Self { parts, asked: Vec::new(), missing: Vec::new(), faults: Vec::new() }
    }

    /// Adds a fault.
    pub(super) fn fault(&mut self, fault: PartFault) {
        self.faults.push(fault);
    }

    /// All parts of this name.
    fn take_all(&mut self, name: &'static str) -> Vec<Part> {
        self.asked.push(name);
        self.parts.extract_if(.., |part| part.name == name).filter(|part| !part.is_blank()).collect()
    }

    /// The part of this name, if there is one.
    pub(super) fn optional(&mut self, name: &'static str) -> Option<Part> {
        let mut parts = self.take_all(name);
        if parts.len() > 1 {
            self.fault(PartFault::of(name, "is given more than once"));
        }
        parts.pop()
    }

    /// The part of this name; it is a fault if there is none.
    pub(super) fn required(&mut self, name: &'static str) -> Option<Part> {
        let part = self.optional(name);
        if part.is_none() {
            self.missing.push(PartFault::of(name, "is missing"));
        }
        part
    }

    /// The text of the part of this name, if there is one.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let part = self.optional(name)?;
        self.decoded(name, part)
    }

    /// The text of the part of this name; it is a fault if there is none.
    pub(super) fn required_text(&mut self, name: &'static str) -> Option<String> {
        let part = self.required(name)?;
        self.decoded(name, part)
    }

    fn decoded(&mut self, name: &'static str, part: Part) -> Option<String> {
        let text = String::from_utf8(part.bytes);
        if let Err(error) = &text {
            let detail = format!("byte {} is not UTF-8", error.utf8_error().valid_up_to());
            self.fault(PartFault::of(name, detail));
        }
        text.ok()
    }

    /// Parses the text of a part as JSON and reads it by `read`, which locates faults.
    pub(super) fn read_json<T>(
        &mut self,
        name: &'static str,
        text: &str,
        read: impl FnOnce(&Value<'_>, &Faults) -> Option<T>,
    ) -> Option<T> {
        let text = repaired(text);
        let value = json::parse(&text);
        let value = value.map_err(|error| self.fault(PartFault::syntax(name, &error))).ok()?;
        let faults = Faults::default();
        let found = read(&value, &faults);
        let faults = faults.into_vec().into_iter();
        self.faults.extend(faults.map(|fault| PartFault::located(Some(name), fault)));
        found
    }

    /// The format of the traces, if the form has one.
    pub(super) fn trace_format(&mut self) -> Option<Format> {
        let text = self.text(TRACE_FORMAT)?;
        text.parse().map_err(|error: String| self.fault(PartFault::of(TRACE_FORMAT, error))).ok()
    }

    /// The files with traces; it is a fault if there is none.
    pub(super) fn trace_files(&mut self) -> TraceFiles {
        let parts = self.take_all(TRACE_FILES);
        if parts.is_empty() {
            self.missing.push(PartFault::of(TRACE_FILES, "is missing; send at least one file"));
        }
        let mut files = TraceFiles::default();
        for Part { file_name, bytes, .. } in parts {
            let name = file_name.unwrap_or_default();
            let lower = name.to_lowercase();
            if !SUFFIXES.iter().any(|suffix| lower.ends_with(suffix)) {
                let detail = format!("`{name}` is no file name that ends in {}", SUFFIXES.join(" or "));
                self.fault(PartFault::of(TRACE_FILES, detail));
            }
            match Document::from_bytes(&*name, bytes, u64::MAX) {
                Ok(document) => files.documents.push(document),
                Err(error) => files.errors.push(error.to_string()),
            }
            files.names.push(name);
        }
        files
    }

    /// Refuses the form if there was a fault, or if it has parts that were not read.
    pub(super) fn finish(mut self) -> Result<(), UploadError> {
        UploadError::unless_empty(Refusal::Incomplete, std::mem::take(&mut self.missing))?;
        for Part { name, .. } in std::mem::take(&mut self.parts) {
            let hint = did_you_mean(&name, self.asked.iter().copied());
            let detail = format!("unknown part `{name}`{hint}");
            self.faults.push(PartFault { detail, ..PartFault::default() });
        }
        UploadError::unless_empty(Refusal::Unusable, self.faults)
    }
}

/// The files with traces.
#[derive(Debug, Default)]
pub(super) struct TraceFiles {
    /// The files that are text.
    pub(super) documents: Vec<Document>,
    /// Why the other files cannot be read.
    pub(super) errors: Vec<String>,
    /// The names of all files.
    pub(super) names: Vec<String>,
}
