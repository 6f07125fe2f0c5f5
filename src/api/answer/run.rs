//! A run as it is answered.

use std::collections::BTreeMap;

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use super::member::{FreeObject, Named, Nullable, RawObject, Time};
use crate::runs::{MetricSummary, Progress, ResultCounts, Run, RunStatus, Summary, Verdict};
use crate::spec::TargetKind;

/// A run as it stands.
#[derive(Debug, PartialEq, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Run", rename_all = "camelCase")]
pub(in crate::api) struct RunAnswer {
    /// Its id.
    run_id: Uuid,
    /// Where it stands.
    status: Named<RunStatus>,
    /// What the agent's behaviour was worth; null until it was evaluated.
    verdict: Nullable<Named<Verdict>>,
    /// How often a worker took it up; 0 until the first time.
    attempt: u32,
    /// How often a worker may take it up before a lost worker or a passing failure ends it.
    max_attempts: u32,
    /// −100 to 100; higher ones are taken up first.
    priority: i16,
    /// How long one attempt may take, in seconds.
    deadline_s: u64,
    /// What the submitter called it.
    labels: BTreeMap<String, String>,
    /// Where its traces come from.
    target_kind: Named<TargetKind>,
    /// Id of the eval set that it is compared with.
    eval_set_id: Nullable<String>,
    /// Who works on it, while it is running.
    worker_id: Nullable<String>,
    /// How far it has come, while it is running.
    progress: Nullable<ProgressAnswer>,
    /// Why it failed, for people.
    error: Nullable<String>,
    /// Why it failed; stable, for programs.
    error_code: Nullable<String>,
    /// Counts and averages, once it succeeded.
    summary: Nullable<SummaryAnswer>,
    /// When it was submitted.
    created_at: Time,
    /// When a worker first took it up.
    started_at: Nullable<Time>,
    /// When it reached a final status.
    finished_at: Nullable<Time>,
    /// Whether somebody asked for it to be stopped.
    cancel_requested: bool,
    /// The specification as submitted, secrets redacted; only with `include=spec`.
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

/// How far a run has come.
#[derive(Debug, PartialEq, Serialize, Object)]
#[oai(rename = "Progress")]
pub(in crate::api) struct ProgressAnswer {
    /// Evaluation units whose results are stored.
    done: u32,
    /// Evaluation units there are.
    total: u32,
}

impl From<Progress> for ProgressAnswer {
    fn from(progress: Progress) -> Self {
        Self { done: progress.done, total: progress.total }
    }
}

/// Counts and averages of a run. Members are in snake_case, as the reference has them.
#[derive(Debug, PartialEq, Serialize, Object)]
#[oai(rename = "Summary")]
struct SummaryAnswer {
    /// Evaluation units.
    trace_count: u32,
    /// Results by status.
    result_counts: CountsAnswer,
    /// By evaluator name.
    per_metric: BTreeMap<String, MetricAnswer>,
    /// Service name, else agent name, of each unit; sorted, each once.
    agents: Vec<String>,
    /// Inputs, or parts of inputs, that could not be read.
    errors: Vec<String>,
    /// What was lost on the way and belongs to no unit.
    warnings: Vec<String>,
    /// Eval cases that nothing was compared with.
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

/// How many results there are of each status.
#[derive(Debug, PartialEq, Serialize, Object)]
#[oai(rename = "ResultCounts")]
struct CountsAnswer {
    /// At or above the threshold.
    passed: u32,
    /// Below the threshold.
    failed: u32,
    /// Could not be computed.
    errored: u32,
    /// Not compared, or only reported.
    skipped: u32,
}

impl From<ResultCounts> for CountsAnswer {
    fn from(ResultCounts { passed, failed, errored, skipped }: ResultCounts) -> Self {
        Self { passed, failed, errored, skipped }
    }
}

/// What one metric came to over a run.
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
    /// Mean of the scores there are; null when there are none.
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

/// A part of a list of runs.
#[derive(Debug, Serialize, Object)]
pub(in crate::api) struct RunPage {
    /// Runs, newest first.
    pub(in crate::api) data: Vec<RunAnswer>,
    /// The `cursor` of the next page; null on the last one.
    pub(in crate::api) next: Nullable<String>,
}
