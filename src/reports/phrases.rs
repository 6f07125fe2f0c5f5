//! Words on which the formats for people agree: marks, reasons, the closing line.

use super::text::{counted, printable};
use crate::evaluation::{Report, Verdict};
use crate::metrics::{EvalStatus, MetricResult};

/// The mark in front of a metric.
pub(super) fn icon(metric: &MetricResult) -> &'static str {
    match metric.eval_status {
        EvalStatus::Passed => "[PASS]",
        EvalStatus::Failed => "[FAIL]",
        EvalStatus::NotEvaluated if metric.error.is_some() => "[ERR!]",
        EvalStatus::NotEvaluated => "[----]",
        EvalStatus::Informational => "[INFO]",
    }
}

/// The status of a metric in capitals, as results in JSON spell it.
pub(super) fn status_name(status: EvalStatus) -> &'static str {
    match status {
        EvalStatus::Passed => "PASSED",
        EvalStatus::Failed => "FAILED",
        EvalStatus::NotEvaluated => "NOT_EVALUATED",
        EvalStatus::Informational => "INFORMATIONAL",
    }
}

/// Why a metric has no score or did not pass, in one line; `None` when there is nothing to add.
pub(super) fn explanation(metric: &MetricResult) -> Option<String> {
    if let Some(error) = &metric.error {
        return Some(printable(error).into_owned());
    }
    let mut turns = Vec::new();
    for (name, word) in [("missing_turns", "missing"), ("unexpected_turns", "unexpected")] {
        let count = metric.details.as_ref().and_then(|details| details.get(name)?.as_int()).unwrap_or(0);
        if count > 0 {
            turns.push(counted(usize::try_from(count).unwrap_or(usize::MAX), &format!("{word} turn")));
        }
    }
    turns.extend(metric.reason().map(|reason| printable(reason).into_owned()));
    (!turns.is_empty()).then(|| turns.join("; "))
}

/// The closing line: the verdict, and how many metrics, eval cases and inputs led to it.
pub(super) fn closing_line(report: &Report) -> String {
    let metrics = || report.traces.iter().flat_map(|unit| &unit.metrics);
    let mut parts = Vec::new();
    for (status, word) in [
        (EvalStatus::Passed, "passed"),
        (EvalStatus::Failed, "failed"),
        (EvalStatus::NotEvaluated, "not evaluated"),
        (EvalStatus::Informational, "informational"),
    ] {
        let count = metrics().filter(|metric| metric.eval_status == status).count();
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    if !report.unmatched_eval_cases.is_empty() && !report.lenient {
        parts.push(format!("{} without a trace", counted(report.unmatched_eval_cases.len(), "eval case")));
    }
    if !report.errors.is_empty() {
        parts.push(counted(report.errors.len(), "input error"));
    }
    let verdict = match report.verdict {
        Verdict::Passed => "PASSED",
        Verdict::Failed => "FAILED",
        Verdict::Errored => "ERRORED",
    };
    if parts.is_empty() { verdict.to_owned() } else { format!("{verdict}: {}", parts.join(", ")) }
}

/// Names the eval cases that matched no trace, and the remedy; `None` when all did.
pub(super) fn unmatched_cases(report: &Report) -> Option<String> {
    const SHOWN: usize = 5;
    let cases = &report.unmatched_eval_cases;
    if cases.is_empty() {
        return None;
    }
    let mut names = cases.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if cases.len() > SHOWN {
        names.push_str(&format!(" and {} more", cases.len() - SHOWN));
    }
    let remedy = if report.lenient { "" } else { "; give a trace for each, or use --lenient" };
    Some(format!("no trace was compared with eval case {}{remedy}", printable(&names)))
}
