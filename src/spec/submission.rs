//! Reads the body of a request into a submission, which can be stored as a run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::digest::{SpecDigest, digest};
use super::run_spec::{RunSpec, RunTarget, SpecRules};
use super::sinks::{SinkRules, StoredSink};
use super::target::TargetKind;
use crate::credentials::CredentialRules;
use crate::evaluation::config::CodeRule;
use crate::ids::RunId;
use crate::json::checked::{Cursor, Fault, Faults, Spelling};
use crate::json::{self, SyntaxError, Value, member_text, repaired};
use crate::net::OutboundRules;
use crate::sources::{INLINE, inline_document, load_document};

/// Rules and defaults for submissions.
#[derive(Debug, Clone)]
pub struct SubmissionRules {
    /// Code evaluators that submissions may name.
    pub code: CodeRule,
    /// Credentials that submissions may refer to.
    pub credentials: CredentialRules,
    /// Addresses that submissions may name.
    pub outbound: OutboundRules,
    /// The folder of file sinks, if there is one.
    pub file_sinks: Option<PathBuf>,
    /// Longest duration of an attempt, unless the submission sets another.
    pub default_deadline: Duration,
    /// Longest duration of an attempt that a submission may set.
    pub max_deadline: Duration,
    /// Attempts at a run, unless the submission sets another number.
    pub default_attempts: u32,
    /// Most attempts that a submission may set.
    pub max_attempts: u32,
}

impl Default for SubmissionRules {
    /// The reference's deadline and attempts, limits that keep one run from occupying a worker for hours, and no
    /// permission that an operator has to give.
    fn default() -> Self {
        Self {
            code: CodeRule::Refused,
            credentials: CredentialRules::default(),
            outbound: OutboundRules::default(),
            file_sinks: None,
            default_deadline: Duration::from_secs(300),
            max_deadline: Duration::from_secs(3600),
            default_attempts: 3,
            max_attempts: 10,
        }
    }
}

/// Why a submission is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmissionError {
    /// The body is not JSON.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// The body has faults, at least one.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Fault>),
}

/// Most labels a run may have.
const MAX_LABELS: usize = 32;

/// Longest name of a label, as in Kubernetes.
const MAX_LABEL_NAME_BYTES: usize = 63;

/// Longest value of a label.
const MAX_LABEL_VALUE_BYTES: usize = 255;

/// A run to be stored.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Its id.
    pub id: RunId,
    /// Whether the submitter chose the id; then a key that belongs to another run is a conflict.
    pub is_id_chosen: bool,
    /// The submitter's `Idempotency-Key`, which makes repeating a submission safe without an id.
    pub idempotency_key: Option<String>,
    /// The specification as JSON text.
    pub spec: String,
    /// Digest of the canonical form of the specification; equal digests mean the same work.
    pub digest: SpecDigest,
    /// −100 to 100; higher ones are claimed first.
    pub priority: i16,
    /// Longest duration of one attempt, whole seconds.
    pub deadline: Duration,
    /// Attempts after which a lost lease or a transient failure fails the run.
    pub max_attempts: u32,
    /// The submitter's labels.
    pub labels: BTreeMap<String, String>,
    /// Where its traces come from.
    pub target_kind: TargetKind,
    /// Id of the eval set that it is compared with.
    pub eval_set_id: Option<String>,
    /// Receivers of its results besides storage.
    pub sinks: Vec<StoredSink>,
}

impl Submission {
    /// Reads the body of a submission: `{runId?, spec, labels?, priority?, deadlineS?, maxAttempts?}` in either spelling.
    ///
    /// Unknown members are accepted, as in the reference. The inline trace is read too, to refuse an unusable one; that
    /// takes time in proportion to its size.
    ///
    /// # Errors
    /// The body is not JSON, or all its faults at once.
    pub fn parse(body: &str, rules: &SubmissionRules) -> Result<Self, SubmissionError> {
        let text = repaired(body);
        let document = json::parse(&text)?;
        let faults = Faults::default();
        let root = Cursor::root(&document, &faults);
        let (fields, read) = read_fields(&root, rules).unzip();
        let read = read.flatten();
        let spec_text = member_text(&text, "spec")?.unwrap_or_default();
        if let Some(read) = read.as_ref().filter(|read| matches!(read.target, RunTarget::Inline)) {
            check_inline(&root, read, spec_text)?;
        }
        let faults = faults.into_vec();
        match (fields, read, document.get("spec")) {
            (Some(fields), Some(read), Some(spec)) if faults.is_empty() => {
                // The repaired text has the same length, so an offset in it is an offset in the body.
                let start = spec_text.as_ptr().addr() - text.as_ptr().addr();
                Ok(fields.into_submission(read, &body[start..start + spec_text.len()], spec, rules))
            }
            _ => Err(SubmissionError::Invalid(faults)),
        }
    }
}

/// The members of a submission besides the specification.
struct Fields {
    id: Option<RunId>,
    labels: Option<BTreeMap<String, String>>,
    priority: Option<i64>,
    deadline_s: Option<u64>,
    max_attempts: Option<u32>,
}

impl Fields {
    /// The submission of a specification, given as read, as text, and as the value for its digest.
    fn into_submission(
        self,
        read: RunSpec,
        text: &str,
        spec: &Value<'_>,
        rules: &SubmissionRules,
    ) -> Submission {
        Submission {
            id: self.id.unwrap_or_else(RunId::new_v7),
            is_id_chosen: self.id.is_some(),
            idempotency_key: None,
            spec: text.to_owned(),
            digest: digest(spec),
            priority: self.priority.and_then(|priority| priority.try_into().ok()).unwrap_or_default(),
            deadline: self.deadline_s.map_or(rules.default_deadline, Duration::from_secs),
            max_attempts: self.max_attempts.unwrap_or(rules.default_attempts),
            labels: self.labels.unwrap_or_default(),
            target_kind: read.target.kind(),
            eval_set_id: read.eval_set.map(|eval_set| storable(&eval_set.id)),
            sinks: read.sinks,
        }
    }
}

/// Reads the specification and the other members.
fn read_fields(root: &Cursor<'_, '_>, rules: &SubmissionRules) -> Option<(Fields, Option<RunSpec>)> {
    let object = root.object(Spelling::SnakeOrCamel)?;
    let SubmissionRules { code, credentials, outbound, file_sinks, .. } = rules;
    let sinks = Some(SinkRules { credentials, outbound, files: file_sinks.as_deref() });
    let spec_rules = SpecRules { code: *code, credentials, outbound, sinks };
    let limit = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    let id = object.optional("run_id", read_id);
    let spec = object.required("spec", |spec| RunSpec::read(spec, &spec_rules));
    let fields = Fields {
        id,
        labels: object.optional("labels", read_labels),
        priority: object.optional("priority", |priority| priority.integer(-100..=100)),
        deadline_s: object
            .optional("deadline_s", |seconds| seconds.integer(1..=limit(rules.max_deadline.as_secs())))
            .map(i64::unsigned_abs),
        max_attempts: object
            .optional("max_attempts", |attempts| attempts.integer(1..=rules.max_attempts.into()))
            .and_then(|attempts| attempts.try_into().ok()),
    };
    Some((fields, spec))
}

fn read_id(cursor: &Cursor<'_, '_>) -> Option<RunId> {
    let text = cursor.string()?;
    let id = text.parse().ok();
    if id.is_none() {
        cursor.fault(format!("`{text}` is no UUID; leave the member out to have one made"));
    }
    id
}

fn read_labels(cursor: &Cursor<'_, '_>) -> Option<BTreeMap<String, String>> {
    let map = cursor.map()?;
    if map.len() > MAX_LABELS {
        cursor.fault(format!("{} labels are more than {MAX_LABELS}", map.len()));
    }
    let label = |name: &str| {
        cursor.member(name, |label| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
            if !(1..=MAX_LABEL_NAME_BYTES).contains(&name.len()) || !name.bytes().all(is_plain) {
                label.fault(format!(
                    "`{name}` is no name of a label; expected 1 to {MAX_LABEL_NAME_BYTES} of A-Z a-z 0-9 . _ / -"
                ));
            }
            let value = label.string()?;
            if value.len() > MAX_LABEL_VALUE_BYTES {
                label.fault(format!("{} bytes are more than {MAX_LABEL_VALUE_BYTES}", value.len()));
            }
            if value.chars().any(char::is_control) {
                label.fault("holds a control character; leave it out");
            }
            Some((name.to_owned(), value))
        })
    };
    Some(map.iter().filter_map(|(name, _)| label(name)).collect())
}

/// Reads the inline trace, and adds faults at its place if it cannot be evaluated.
fn check_inline(root: &Cursor<'_, '_>, spec: &RunSpec, spec_text: &str) -> Result<(), SyntaxError> {
    let target = member_text(spec_text, "target")?.unwrap_or_default();
    let Some(inline) = member_text(target, INLINE)? else {
        return Ok(());
    };
    let faults = match inline_document(inline) {
        Err(fault) => vec![fault],
        Ok(document) => match load_document(&document, spec.format) {
            Ok(_) => Vec::new(),
            Err(unusable) => unusable.faults(),
        },
    };
    root.member("spec", |spec| {
        spec.member("target", |target| {
            target.member(INLINE, |inline| {
                faults.into_iter().for_each(|fault| inline.fault(fault));
                Some(())
            })
        })
    });
    Ok(())
}

/// Replaces NUL, which PostgreSQL text cannot hold, in ids and names by which a run is found.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
