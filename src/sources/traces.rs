//! Reads the traces of a document, or tells why none can be evaluated.

use crate::trace::{Document, Format, Join, Loaded, load};

/// The member of a target that holds its traces, and the name of their document in errors.
pub(crate) const INLINE: &str = "inline";

/// The document of an inline trace.
pub(crate) fn inline_document(text: &str) -> Result<Document, String> {
    Document::from_bytes(INLINE, text.as_bytes().to_vec(), u64::MAX).map_err(|error| error.to_string())
}

/// Why a document has no trace that can be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It cannot be read.
    Unreadable(Vec<String>),
    /// It can be read and holds no spans.
    NoTraces(String),
}

/// Reads the traces of a document, of which at least one span must be readable.
pub(crate) fn load_document(document: &Document, format: Option<Format>) -> Result<Loaded<'_>, Unusable> {
    let loaded = load(std::slice::from_ref(document), format, Join::AcrossDocuments);
    match Unusable::of(&loaded) {
        None => Ok(loaded),
        Some(unusable) => Err(unusable),
    }
}

/// Code of the failure of a run whose traces cannot be read.
pub(crate) const BAD_TRACE: &str = "bad_trace";

impl Unusable {
    /// Code of the failure of a run with such a document.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => BAD_TRACE,
            Self::NoTraces(_) => "no_traces",
        }
    }

    /// The reasons.
    pub(crate) fn faults(&self) -> Vec<String> {
        match self {
            Self::Unreadable(faults) => faults.clone(),
            Self::NoTraces(fault) => vec![fault.clone()],
        }
    }

    /// Why loaded documents cannot be evaluated; `None` if they have at least one readable span.
    pub(crate) fn of(loaded: &Loaded<'_>) -> Option<Self> {
        if !loaded.traces.is_empty() {
            return None;
        }
        if !loaded.errors.is_empty() {
            return Some(Self::Unreadable(loaded.errors.iter().map(ToString::to_string).collect()));
        }
        let rejected = loaded.warnings.iter().map(|warning| &*warning.text);
        let rejected = rejected.map(|text| format!("; {text}")).collect::<String>();
        Some(Self::NoTraces(match loaded.log_records {
            0 => format!("no traces were read: there are no spans{rejected}"),
            logs => format!("no traces were read, only {logs} log records; send the spans too{rejected}"),
        }))
    }
}
