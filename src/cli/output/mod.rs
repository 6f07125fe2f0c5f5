//! Reports as text.

mod summary;
mod table;

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use super::settings::Output;
use crate::evaluation::{Report, Verdict};
use crate::metrics::{EvalStatus, MetricResult};

/// Prints a report to standard output. A reader that closed the pipe is no error.
pub(super) fn print(report: &Report, output: Output) -> io::Result<()> {
    to_stdout(|out| match output {
        Output::Table => table::write(report, out),
        Output::Summary => summary::write(report, out),
        Output::Json => write_json(report, out),
    })
}

/// Prints lines to standard output, control characters shown. A reader that closed the pipe is no error.
pub(super) fn print_lines(lines: &[String]) -> io::Result<()> {
    to_stdout(|out| lines.iter().try_for_each(|line| writeln!(out, "{}", printable(line))))
}

fn to_stdout(write: impl FnOnce(&mut BufWriter<io::StdoutLock<'_>>) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// `1 case`, `2 cases`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn write_json(report: &Report, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}

/// Text from an input as it may stand on a terminal: control characters are shown, not obeyed.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// The mark in front of a metric.
fn icon(metric: &MetricResult) -> &'static str {
    match metric.eval_status {
        EvalStatus::Passed => "[PASS]",
        EvalStatus::Failed => "[FAIL]",
        EvalStatus::NotEvaluated if metric.error.is_some() => "[ERR!]",
        EvalStatus::NotEvaluated => "[----]",
        EvalStatus::Informational => "[INFO]",
    }
}

fn status_name(status: EvalStatus) -> &'static str {
    match status {
        EvalStatus::Passed => "PASSED",
        EvalStatus::Failed => "FAILED",
        EvalStatus::NotEvaluated => "NOT_EVALUATED",
        EvalStatus::Informational => "INFORMATIONAL",
    }
}

/// A duration in milliseconds as people read it: `12ms`, `3.4s`, `2m 5s`.
fn duration(milliseconds: f64) -> String {
    let (whole_ms, tenths) = (milliseconds.round(), (milliseconds / 100.0).round());
    if whole_ms < 1000.0 {
        format!("{whole_ms:.0}ms")
    } else if tenths < 600.0 {
        format!("{:.1}s", tenths / 10.0)
    } else {
        let seconds = (milliseconds / 1e3).round();
        format!("{}m {:.0}s", (seconds / 60.0).floor(), seconds % 60.0)
    }
}

/// Why a metric has no score or did not pass, in one line; `None` when there is nothing to add.
fn explanation(metric: &MetricResult) -> Option<String> {
    let count = |name: &str| metric.details.as_ref()?.get(name)?.as_int().filter(|count| *count > 0);
    let turns = [("missing_turns", "missing"), ("unexpected_turns", "unexpected")];
    let turns: Vec<_> =
        turns.iter().filter_map(|(name, word)| Some(format!("{} {word} turns", count(name)?))).collect();
    let error = metric.error.as_deref().or(metric.reason()).map(str::to_owned);
    let error = error.map(|error| printable(&error).into_owned());
    error.or((!turns.is_empty()).then(|| turns.join(", ")))
}

/// The closing line: what all of it was worth and why.
fn closing_line(report: &Report) -> String {
    let metrics = || report.traces.iter().flat_map(|unit| &unit.metrics);
    let count = |status| metrics().filter(|metric| metric.eval_status == status).count();
    let mut parts = Vec::new();
    for (status, word) in [
        (EvalStatus::Passed, "passed"),
        (EvalStatus::Failed, "failed"),
        (EvalStatus::NotEvaluated, "not evaluated"),
        (EvalStatus::Informational, "informational"),
    ] {
        if count(status) > 0 {
            parts.push(format!("{} {word}", count(status)));
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

/// The eval cases that nothing was compared with, and what to do about it.
fn unmatched_cases(report: &Report) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_cannot_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb");
        assert_eq!(printable("Ærø ✓"), "Ærø ✓");
    }

    #[test]
    fn durations_read_naturally() {
        assert_eq!(duration(12.4), "12ms");
        assert_eq!(duration(3_449.0), "3.4s");
        assert_eq!(duration(125_000.0), "2m 5s");
        assert_eq!(duration(119_600.0), "2m 0s");
        assert_eq!(duration(59_960.0), "1m 0s");
        assert_eq!(duration(999.6), "1.0s");
    }
}
