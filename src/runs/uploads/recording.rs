//! From the report on an upload to the run that is stored of it.

use std::time::Duration;

use super::upload::{Texts, UploadRules};
use crate::evaluation::Report;
use crate::ids::RunId;
use crate::json;
use crate::runs::digest::digest;
use crate::runs::model::{Ending, Failure, FinishedRun};
use crate::runs::outcome::{Recorder, summarise};

/// What is known of an upload apart from its report.
pub(super) struct Uploaded {
    /// Names of the files with traces.
    pub(super) files: Vec<String>,
    /// How many traces were read.
    pub(super) trace_count: usize,
    /// Golden and configuration as they were written.
    pub(super) texts: Texts,
    /// Id of the golden.
    pub(super) eval_set_id: Option<String>,
    /// Knows the evaluators.
    pub(super) recorder: Recorder,
    /// Why there was nothing to evaluate.
    pub(super) failure: Option<Failure>,
}

impl Uploaded {
    /// The run to store, evaluated by `worker` within `elapsed`.
    pub(super) fn into_run(
        self,
        report: &Report,
        worker: &str,
        elapsed: Duration,
        rules: &UploadRules,
    ) -> FinishedRun {
        let spec = self.spec();
        let units = report.traces.iter().enumerate();
        let results: Vec<_> = units.flat_map(|(index, unit)| self.recorder.record(index, unit)).collect();
        let ending = match self.failure {
            Some(failure) => Ending::Failed(failure),
            None => {
                let summary = Box::new(summarise(report, &results));
                Ending::Succeeded { verdict: report.verdict, summary }
            }
        };
        FinishedRun {
            id: RunId::new_v7(),
            digest: digest(&json::parse(&spec).unwrap_or_default()),
            spec,
            deadline: rules.deadline,
            eval_set_id: self.eval_set_id,
            worker: worker.to_owned(),
            elapsed,
            results,
            ending,
        }
    }

    /// The specification: what was uploaded, with golden and configuration as they were written.
    fn spec(&self) -> String {
        let target = serde_json::json!({
            "kind": "uploaded",
            "traceCount": self.trace_count,
            "traceFiles": self.files,
        });
        let Texts { eval_set, config } = &self.texts;
        let or_null = |text: &Option<String>| text.as_deref().map_or("null", str::trim).to_owned();
        format!(
            r#"{{"approach":"trace_replay","target":{target},"evalSet":{},"evalConfig":{}}}"#,
            or_null(eval_set),
            or_null(config)
        )
    }
}
