//! Turns the report on an upload into the finished run that is stored.

use std::time::Duration;

use super::finished::FinishedRun;
use super::upload::Texts;
use crate::evaluation::Report;
use crate::ids::RunId;
use crate::json;
use crate::runs::{Ending, Failure, Recorder, ResultRecord, summarise};
use crate::spec::digest;

/// The facts about an upload that its run needs besides the report.
pub(super) struct Uploaded {
    /// Names of the files with traces.
    pub(super) files: Vec<String>,
    /// Number of traces that were read.
    pub(super) trace_count: usize,
    /// Eval set and configuration as they were written.
    pub(super) texts: Texts,
    /// Id of the eval set.
    pub(super) eval_set_id: Option<String>,
    /// Makes the results of the upload's evaluators.
    pub(super) recorder: Recorder,
    /// Why there was nothing to evaluate, if so.
    pub(super) failure: Option<Failure>,
}

/// The worker of an upload's evaluation, its duration and its deadline.
pub(super) struct Effort<'a> {
    pub(super) worker: &'a str,
    pub(super) elapsed: Duration,
    pub(super) deadline: Duration,
}

impl Uploaded {
    /// The run of an upload with a report.
    pub(super) fn reported(self, report: &Report, effort: &Effort<'_>) -> FinishedRun {
        let units = report.traces.iter().enumerate();
        let results: Vec<_> = units.flat_map(|(index, unit)| self.recorder.record(index, unit)).collect();
        let ending = match &self.failure {
            Some(failure) => Ending::Failed(failure.clone()),
            None => {
                let summary = Box::new(summarise(report, &results));
                Ending::Succeeded { verdict: report.verdict, summary }
            }
        };
        self.into_run(results, ending, effort)
    }

    /// The run of an upload without a report.
    pub(super) fn failed(self, failure: Failure, effort: &Effort<'_>) -> FinishedRun {
        self.into_run(Vec::new(), Ending::Failed(failure), effort)
    }

    fn into_run(self, results: Vec<ResultRecord>, ending: Ending, effort: &Effort<'_>) -> FinishedRun {
        let spec = self.spec();
        FinishedRun {
            id: RunId::new_v7(),
            digest: digest(&json::parse(&spec).unwrap_or_default()),
            spec,
            deadline: effort.deadline,
            eval_set_id: self.eval_set_id,
            worker: effort.worker.to_owned(),
            elapsed: effort.elapsed,
            results,
            ending,
        }
    }

    /// The specification: number and names of the uploaded traces, eval set and configuration as they were written.
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
