//! The schemas of requests to evaluate, for the OpenAPI document only: [`uploads`](crate::uploads) parses them.

use poem_openapi::Object;

use super::form::{Content, FormShape, PartShape};
use crate::api::credentials::CredentialRefs;
use crate::api::submission::{EvalConfig, Free, TraceFormat};

const TRACE_FILES: PartShape = PartShape {
    name: "trace_files",
    about: "OTLP or Jaeger JSON, in files whose names end in .json or .jsonl.",
    content: Content::Files,
    is_required: true,
};

const TRACE_FORMAT: PartShape = PartShape {
    name: "trace_format",
    about: "Format of the traces; detected if left out.",
    content: Content::Choice(&["otlp-json", "jaeger-json"]),
    is_required: false,
};

const EVAL_SET_FILE: PartShape = PartShape {
    name: "eval_set_file",
    about: "The golden eval set, in the format of ADK eval sets.",
    content: Content::File,
    is_required: false,
};

/// A form with traces to evaluate.
pub(super) struct EvaluateForm;

impl FormShape for EvaluateForm {
    const NAME: &'static str = "EvaluateForm";
    const ABOUT: &'static str = "Traces to evaluate.";
    const PARTS: &'static [PartShape] = &[
        TRACE_FILES,
        PartShape {
            name: "config",
            about: "Evaluators and options: JSON of the schema `EvaluateConfig`.",
            content: Content::Text,
            is_required: true,
        },
        EVAL_SET_FILE,
        PartShape {
            name: "credential_refs",
            about: "Credentials by name: JSON, as `credentialRefs` of a run's specification.",
            content: Content::Text,
            is_required: false,
        },
        TRACE_FORMAT,
    ];
}

/// A form with traces to convert.
pub(super) struct ConvertForm;

impl FormShape for ConvertForm {
    const NAME: &'static str = "ConvertForm";
    const ABOUT: &'static str = "Traces to extract conversations from.";
    const PARTS: &'static [PartShape] = &[
        TRACE_FILES,
        TRACE_FORMAT,
        PartShape {
            name: "group_by",
            about: "Which traces form a conversation; `trace` if left out.",
            content: Content::Choice(&["trace", "conversation", "auto"]),
            is_required: false,
        },
    ];
}

/// A form with an eval set to check.
pub(super) struct ValidateForm;

impl FormShape for ValidateForm {
    const NAME: &'static str = "ValidateForm";
    const ABOUT: &'static str = "An eval set to check.";
    const PARTS: &'static [PartShape] = &[PartShape { is_required: true, ..EVAL_SET_FILE }];
}

/// Traces to evaluate. Members may also be spelled in snake_case.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct EvaluateRequest {
    /// An OTLP or Jaeger JSON document.
    traces: Free,
    /// Evaluators and options; the trajectory metric alone if left out.
    #[oai(nullable)]
    config: Option<EvaluateConfig>,
    /// The golden eval set to compare with, as an object in the format of ADK eval sets.
    #[oai(nullable)]
    eval_set: Option<Free>,
    /// Credentials by name; only those that the operator allows.
    #[oai(nullable, validator(max_properties = 64))]
    credential_refs: Option<CredentialRefs>,
    /// Format of the traces; detected if left out.
    #[oai(nullable)]
    trace_format: Option<TraceFormat>,
}

/// Evaluators and options, and the format of the traces.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct EvaluateConfig {
    #[oai(flatten)]
    config: EvalConfig,
    /// Format of the traces; detected if left out.
    #[oai(nullable)]
    trace_format: Option<TraceFormat>,
}
