//! A table of metrics per evaluation unit, with mismatched calls, latencies and tokens below it.

use std::fmt::Display;
use std::io::{self, Write};

use console::{Style, measure_text_width};

use super::RenderOptions;
use super::performance::{run_lines, run_title, unit_lines};
use super::phrases::{closing_line, explanation, icon, status_name, unmatched_cases};
use super::responses::response_lines;
use super::text::{duration, printable};
use crate::evaluation::{Report, UnitReport, Verdict};
use crate::json::Value;
use crate::metrics::{EvalStatus, MetricResult};
use crate::trace::Warning;

pub(super) fn write(report: &Report, options: RenderOptions, out: &mut dyn Write) -> io::Result<()> {
    let palette = Palette { colors: options.colors };
    for unit in &report.traces {
        write_unit(unit, palette, out)?;
        writeln!(out)?;
    }
    if let Some(performance) = report.performance_metrics.as_ref().filter(|_| report.traces.len() > 1) {
        writeln!(out, "{}", palette.bold(run_title(performance)))?;
        for line in run_lines(performance) {
            writeln!(out, "  {line}")?;
        }
        writeln!(out)?;
    }
    for warning in &report.warnings {
        writeln!(out, "{}", palette.warning(warning))?;
    }
    if let Some(cases) = unmatched_cases(report) {
        writeln!(out, "{cases}")?;
    }
    let style = match report.verdict {
        Verdict::Passed => palette.style().green(),
        Verdict::Failed | Verdict::Errored => palette.style().red(),
    };
    writeln!(out, "{}", style.bold().apply_to(closing_line(report)))
}

/// Colours, if they are wanted.
#[derive(Clone, Copy)]
struct Palette {
    colors: bool,
}

impl Palette {
    /// A plain style; forced, because `console` would ask whether this process's standard output is a terminal.
    fn style(self) -> Style {
        Style::new().force_styling(self.colors)
    }

    fn bold(self, text: impl Display) -> String {
        self.style().bold().apply_to(text).to_string()
    }

    fn warning(self, Warning { code, text }: &Warning) -> String {
        let mark = self.style().yellow().apply_to(format!("warning[{code}]:"));
        format!("{mark} {}", printable(text))
    }

    /// The style of a metric's mark and status.
    fn of(self, metric: &MetricResult) -> Style {
        match metric.eval_status {
            EvalStatus::Passed => self.style().green(),
            EvalStatus::Failed => self.style().red(),
            EvalStatus::NotEvaluated if metric.error.is_some() => self.style().red(),
            EvalStatus::NotEvaluated => self.style().yellow(),
            EvalStatus::Informational => self.style(),
        }
    }
}

fn write_unit(unit: &UnitReport, palette: Palette, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", palette.bold(printable(&title(unit))))?;
    for warning in &unit.warnings {
        writeln!(out, "  {}", palette.warning(warning))?;
    }
    write_metrics(&unit.metrics, palette, out)?;
    for metric in unit.metrics.iter().filter(|metric| metric.eval_status == EvalStatus::Failed) {
        write_mismatches(metric, out)?;
        for line in response_lines(metric) {
            writeln!(out, "  {line}")?;
        }
    }
    for line in unit.performance_metrics.iter().flat_map(unit_lines) {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

fn title(unit: &UnitReport) -> String {
    let mut title = format!("Trace {} ({} invocations", unit.trace_id, unit.num_invocations);
    if unit.trace_ids.len() > 1 {
        title.push_str(&format!(", {} traces of `{}`", unit.trace_ids.len(), unit.group_key));
    }
    title.push(')');
    if let Some(case) = &unit.eval_case_id {
        title.push_str(&format!(" against eval case `{case}`"));
    }
    title
}

/// Writes the metrics in columns, each with its reason on a line below it.
fn write_metrics(metrics: &[MetricResult], palette: Palette, out: &mut dyn Write) -> io::Result<()> {
    let header = ["", "Metric", "Score", "Status", "Per invocation", "Time"].map(str::to_owned);
    let rows: Vec<_> = metrics.iter().map(|metric| cells(metric, palette)).collect();
    let widths: [usize; 6] = std::array::from_fn(|column| {
        let cells = std::iter::once(&header).chain(&rows).map(|row| &row[column]);
        cells.map(|cell| measure_text_width(cell)).max().unwrap_or(0)
    });
    write_row(&header, &widths, out)?;
    for (metric, row) in metrics.iter().zip(&rows) {
        write_row(row, &widths, out)?;
        if let Some(why) = explanation(metric) {
            writeln!(out, "         {why}")?;
        }
    }
    Ok(())
}

fn write_row(row: &[String; 6], widths: &[usize; 6], out: &mut dyn Write) -> io::Result<()> {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        // Not `{cell:width$}`: it counts characters, colour codes included.
        let padding = width - measure_text_width(cell);
        line.push_str(&format!("  {cell}{:padding$}", ""));
    }
    writeln!(out, "{}", line.trim_end())
}

fn cells(metric: &MetricResult, palette: Palette) -> [String; 6] {
    /// More scores than this do not fit a line.
    const SHOWN_SCORES: usize = 12;
    let style = palette.of(metric);
    let score = |score: Option<f64>| score.map_or_else(|| "-".to_owned(), |score| format!("{score:.4}"));
    let scores = &metric.per_invocation_scores;
    let mut per_invocation: Vec<_> = scores.iter().take(SHOWN_SCORES).copied().map(score).collect();
    if scores.len() > SHOWN_SCORES {
        per_invocation.push(format!("… {} in all", scores.len()));
    }
    [
        style.apply_to(icon(metric)).to_string(),
        printable(&metric.metric_name).into_owned(),
        score(metric.score),
        style.apply_to(status_name(metric.eval_status)).to_string(),
        per_invocation.join(" "),
        metric.duration_ms.map(duration).unwrap_or_default(),
    ]
}

/// Writes expected and actual calls of each turn whose trajectory does not match, and why it does not.
fn write_mismatches(metric: &MetricResult, out: &mut dyn Write) -> io::Result<()> {
    let comparisons = metric.details.as_ref().and_then(|details| details.get("comparisons"));
    for comparison in comparisons.and_then(Value::as_list).unwrap_or_default() {
        if matches!(comparison.get("matched"), Some(Value::Bool(true))) {
            continue;
        }
        let id = comparison.get_str("invocation_id").unwrap_or("(no id)");
        writeln!(out, "  Mismatch in invocation {}:", printable(id))?;
        if let Some(reason) = comparison.get_str("reason") {
            writeln!(out, "    {reason}")?;
        }
        for side in ["expected", "actual"] {
            writeln!(out, "    {side:9} {}", call_list(comparison, side))?;
        }
        for call in comparison.get("calls").and_then(Value::as_list).unwrap_or_default() {
            let is_allowed = matches!(call.get("allowed"), Some(Value::Bool(true)));
            if let Some(reason) = call.get_str("reason").filter(|_| !is_allowed) {
                let line = format!("{}: {reason}", call.get_str("tool").unwrap_or_default());
                writeln!(out, "    - {}", printable(&line))?;
            }
        }
    }
    Ok(())
}

/// The calls of one side of a comparison: `search({"q": 1}), book({})`.
fn call_list(comparison: &Value<'_>, side: &str) -> String {
    let mut calls = Vec::new();
    for call in comparison.get(side).and_then(Value::as_list).unwrap_or_default() {
        let args = match call.get("args") {
            None | Some(Value::Null) if side == "actual" => "arguments not recorded".to_owned(),
            args => args.map(Value::to_json_text).unwrap_or_default(),
        };
        calls.push(format!("{}({args})", call.get_str("name").unwrap_or_default()));
    }
    if calls.is_empty() { "(none)".to_owned() } else { printable(&calls.join(", ")).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_depend_on_the_caller_and_not_on_a_terminal() {
        assert_eq!(Palette { colors: true }.bold("x"), "\u{1b}[1mx\u{1b}[0m");
        assert_eq!(Palette { colors: false }.bold("x"), "x");
    }
}
