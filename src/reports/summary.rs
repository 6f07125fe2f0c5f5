//! One line per metric, without colours: for logs and for `grep`.

use std::io::{self, Write};

use super::phrases::{closing_line, explanation, icon, status_name, unmatched_cases};
use super::text::{duration, printable};
use crate::evaluation::Report;

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if !report.errors.is_empty() {
        writeln!(out, "Errors:")?;
        for error in &report.errors {
            writeln!(out, "  {}", printable(error))?;
        }
    }
    for unit in &report.traces {
        writeln!(out, "Trace {} ({} invocations):", printable(&unit.trace_id), unit.num_invocations)?;
        for metric in &unit.metrics {
            let score = metric.score.map_or_else(|| "N/A".to_owned(), |score| format!("{score:.4}"));
            let (name, status) = (printable(&metric.metric_name), status_name(metric.eval_status));
            let why = explanation(metric).map(|why| format!(" - {why}")).unwrap_or_default();
            let time = metric.duration_ms.map_or_else(|| "-".to_owned(), duration);
            writeln!(out, "  {} {name}: {score} {status} [{time}]{why}", icon(metric))?;
        }
        for warning in &unit.warnings {
            writeln!(out, "  warning[{}]: {}", warning.code, printable(&warning.text))?;
        }
    }
    for warning in &report.warnings {
        writeln!(out, "warning[{}]: {}", warning.code, printable(&warning.text))?;
    }
    if let Some(cases) = unmatched_cases(report) {
        writeln!(out, "{cases}")?;
    }
    writeln!(out, "{}", closing_line(report))
}
