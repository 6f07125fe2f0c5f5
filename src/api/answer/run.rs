//! Runs in answers.

use std::collections::BTreeMap;

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use super::member::{FreeObject, Named, Nullable, RawObject, Time};
use crate::runs::{MetricSummary, Progress, ResultCounts, Run, RunStatus, Summary, Verdict};
use crate::spec::TargetKind;

/// The current state of a run.
#[derive(Debug, PartialEq, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Run", rename_all = "camelCase")]
pub(in crate::api) struct RunAnswer {
    /// Id of the run.
    run_id: Uuid,
    /// State of the service's work on the run.
    status: Named<RunStatus>,
    /// Whether the agent's behaviour passed; null until it is evaluated.
    verdict: Nullable<Named<Verdict>>,
    /// Number of the current or last attempt; 0 before the first one.
    attempt: u32,
    /// Attempts after which a lost worker or a transient failure fails the run.
    max_attempts: u32,
    /// Priority from −100 to 100; runs with a higher one start first.
    priority: i16,
    /// Longest duration of one attempt, in seconds.
    deadline_s: u64,
    /// Labels, as submitted.
    labels: BTreeMap<String, String>,
    /// Where the traces come from.
    target_kind: Named<TargetKind>,
    /// Id of the eval set compared with.
    eval_set_id: Nullable<String>,
    /// Id of the worker, while the run is running.
    worker_id: Nullable<String>,
    /// Evaluation units done, while the run is running.
    progress: Nullable<ProgressAnswer>,
    /// Why the run failed, for people.
    error: Nullable<String>,
    /// Stable code of why the run failed, for programs.
    error_code: Nullable<String>,
    /// Counts and averages, once the run has succeeded.
    summary: Nullable<SummaryAnswer>,
    /// When the run was submitted.
    created_at: Time,
    /// When the first attempt started.
    started_at: Nullable<Time>,
    /// When the run reached a final status.
    finished_at: Nullable<Time>,
    /// Whether cancellation was requested.
    cancel_requested: bool,
    /// The specification as submitted, with secrets redacted; only with `include=spec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<RawObject>,
}

impl RunAnswer {
    /// The same, with its specification.
    pub(in crate::api) fn with_spec(self, spec: Option<RawObject>) -> Self {
        Self { spec, ..self }
    }
}

impl From<Run> for RunAnswer {
    fn from(run: Run) -> Self {
        let (code, error) = run.failure.map(|failure| (failure.code, failure.message)).unzip();
        Self {
            run_id: run.id.0,
            status: run.status.into(),
            verdict: Nullable::from(run.verdict),
            attempt: run.attempt,
            max_attempts: run.max_attempts,
            priority: run.priority,
            deadline_s: run.deadline.as_secs(),
            labels: run.labels,
            target_kind: run.target_kind.into(),
            eval_set_id: Nullable(run.eval_set_id),
            worker_id: Nullable(run.worker),
            progress: Nullable::from(run.progress),
            error: Nullable(error),
            error_code: Nullable(code),
            summary: Nullable::from(run.summary),
            created_at: run.created_at.into(),
            started_at: Nullable::from(run.started_at),
            finished_at: Nullable::from(run.finished_at),
            cancel_requested: run.cancel_requested,
            spec: None,
        }
    }
}

/// Progress of a run.
#[derive(Debug, PartialEq, Serialize, Object)]
#[oai(rename = "Progress")]
pub(in crate::api) struct ProgressAnswer {
    /// Evaluation units whose results are stored.
    done: u32,
    /// All evaluation units.
    total: u32,
}

impl From<Progress> for ProgressAnswer {
    fn from(progress: Progress) -> Self {
        Self { done: progress.done, total: progress.total }
    }
}

/// Counts and averages of a run. Members are in snake_case, as in the reference implementation.
#[derive(Debug, PartialEq, Serialize, Object)]
#[oai(rename = "Summary")]
struct SummaryAnswer {
    /// Number of evaluation units.
    trace_count: u32,
    /// Number of results by status.
    result_counts: CountsAnswer,
    /// Counts and average by evaluator name.
    per_metric: BTreeMap<String, MetricAnswer>,
    /// Service names, or agent names where there is none, of all units; sorted and without duplicates.
    agents: Vec<String>,
    /// Inputs, or parts of inputs, that could not be read.
    errors: Vec<String>,
    /// Data that was lost, repaired or guessed, and belongs to no unit.
    warnings: Vec<String>,
    /// Ids of the eval cases that were compared with no trace.
    unmatched_eval_cases: Vec<String>,
    /// Latency, tokens and counts over all units.
    performance_metrics: Nullable<FreeObject>,
}

impl From<Summary> for SummaryAnswer {
    fn from(summary: Summary) -> Self {
        let per_metric = summary.per_metric.into_iter().map(|(name, metric)| (name, metric.into()));
        Self {
            trace_count: summary.trace_count,
            result_counts: summary.result_counts.into(),
            per_metric: per_metric.collect(),
            agents: summary.agents,
            errors: summary.errors,
            warnings: summary.warnings,
            unmatched_eval_cases: summary.unmatched_eval_cases,
            performance_metrics: Nullable::from(summary.performance_metrics),
        }
    }
}

/// Number of results by status.
#[derive(Debug, PartialEq, Serialize, Object)]
#[oai(rename = "ResultCounts")]
struct CountsAnswer {
    /// Results at or above the threshold.
    passed: u32,
    /// Results below the threshold.
    failed: u32,
    /// Results that could not be computed.
    errored: u32,
    /// Results not compared, or only reported.
    skipped: u32,
}

impl From<ResultCounts> for CountsAnswer {
    fn from(ResultCounts { passed, failed, errored, skipped }: ResultCounts) -> Self {
        Self { passed, failed, errored, skipped }
    }
}

/// Results of one metric over a run.
#[derive(Debug, PartialEq, Serialize, Object)]
#[oai(rename = "MetricSummary")]
struct MetricAnswer {
    /// Results at or above the threshold.
    passed: u32,
    /// Results below the threshold.
    failed: u32,
    /// Results that could not be computed.
    errored: u32,
    /// Results not compared, or only reported.
    skipped: u32,
    /// Mean of all scores; null if there are none.
    avg_score: Nullable<f64>,
}

impl From<MetricSummary> for MetricAnswer {
    fn from(MetricSummary { counts, avg_score }: MetricSummary) -> Self {
        let ResultCounts { passed, failed, errored, skipped } = counts;
        Self { passed, failed, errored, skipped, avg_score: Nullable(avg_score) }
    }
}

/// One run.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "RunEnvelope")]
pub(in crate::api) struct OneRun {
    /// The run.
    pub(in crate::api) data: RunAnswer,
}

impl From<Run> for OneRun {
    fn from(run: Run) -> Self {
        Self { data: run.into() }
    }
}

/// A page of runs.
#[derive(Debug, Serialize, Object)]
pub(in crate::api) struct RunPage {
    /// Runs, newest first.
    pub(in crate::api) data: Vec<RunAnswer>,
    /// The `cursor` of the next page; null on the last one.
    pub(in crate::api) next: Nullable<String>,
}
