//! The results as a person reads them.

use std::io::{self, Write};

use console::{Style, measure_text_width};

use super::{closing_line, duration, explanation, icon, printable, status_name, unmatched_cases};
use crate::evaluation::{Report, UnitReport, Verdict};
use crate::extraction::performance::{Performance, RunPerformance, Summary};
use crate::json::Value;
use crate::metrics::{EvalStatus, MetricResult};

pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for unit in &report.traces {
        write_unit(unit, out)?;
        writeln!(out)?;
    }
    if let Some(performance) = report.performance_metrics.as_ref().filter(|_| report.traces.len() > 1) {
        write_run_performance(performance, out)?;
        writeln!(out)?;
    }
    for warning in &report.warnings {
        writeln!(
            out,
            "{} {}",
            yellow().apply_to(format!("warning[{}]:", warning.code)),
            printable(&warning.text)
        )?;
    }
    if let Some(cases) = unmatched_cases(report) {
        writeln!(out, "{cases}")?;
    }
    let style = match report.verdict {
        Verdict::Passed => green(),
        Verdict::Failed | Verdict::Errored => red(),
    };
    writeln!(out, "{}", style.bold().apply_to(closing_line(report)))
}

fn green() -> Style {
    Style::new().green()
}

fn red() -> Style {
    Style::new().red()
}

fn yellow() -> Style {
    Style::new().yellow()
}

fn write_unit(unit: &UnitReport, out: &mut impl Write) -> io::Result<()> {
    let mut title = format!("Trace {} ({} invocations", unit.trace_id, unit.num_invocations);
    if unit.trace_ids.len() > 1 {
        title.push_str(&format!(", {} traces of `{}`", unit.trace_ids.len(), unit.group_key));
    }
    title.push(')');
    if let Some(case) = &unit.eval_case_id {
        title.push_str(&format!(" against eval case `{case}`"));
    }
    writeln!(out, "{}", Style::new().bold().apply_to(printable(&title)))?;
    for warning in &unit.warnings {
        writeln!(
            out,
            "  {} {}",
            yellow().apply_to(format!("warning[{}]:", warning.code)),
            printable(&warning.text)
        )?;
    }
    let header = ["", "Metric", "Score", "Status", "Per invocation", "Time"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header).chain(unit.metrics.iter().map(row)).collect();
    let widths: [usize; 6] =
        std::array::from_fn(|at| rows.iter().map(|row| measure_text_width(&row[at])).max().unwrap_or(0));
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(widths).map(|(cell, width)| {
            let padding = width - measure_text_width(cell);
            format!("{cell}{:padding$}", "")
        });
        writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        let metric = index.checked_sub(1).and_then(|at| unit.metrics.get(at));
        if let Some(why) = metric.and_then(explanation) {
            writeln!(out, "         {why}")?;
        }
    }
    for metric in unit.metrics.iter().filter(|metric| metric.eval_status == EvalStatus::Failed) {
        write_mismatches(metric, out)?;
    }
    match &unit.performance_metrics {
        Some(performance) => write_performance(performance, out),
        None => Ok(()),
    }
}

fn row(metric: &MetricResult) -> [String; 6] {
    /// More scores than this do not fit a line.
    const SHOWN_SCORES: usize = 12;
    let style = match metric.eval_status {
        EvalStatus::Passed => green(),
        EvalStatus::Failed => red(),
        EvalStatus::NotEvaluated if metric.error.is_some() => red(),
        EvalStatus::NotEvaluated => yellow(),
        EvalStatus::Informational => Style::new(),
    };
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
        duration(metric.duration_ms),
    ]
}

/// Prints expected and actual calls of each turn whose trajectory does not match, and why.
fn write_mismatches(metric: &MetricResult, out: &mut impl Write) -> io::Result<()> {
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
            let calls = comparison.get(side).and_then(Value::as_list).unwrap_or_default();
            let calls = calls.iter().map(|call| {
                let args = call.get("args").map(Value::to_json_text).unwrap_or_default();
                format!("{}({args})", call.get_str("name").unwrap_or_default())
            });
            let calls = calls.collect::<Vec<_>>().join(", ");
            writeln!(
                out,
                "    {side:9} {}",
                if calls.is_empty() { "(none)".into() } else { printable(&calls) }
            )?;
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

fn write_performance(performance: &Performance, out: &mut impl Write) -> io::Result<()> {
    let Performance { latency, tokens, counts, models, .. } = performance;
    let models: Vec<_> = models.iter().map(String::as_str).collect();
    let models = if models.is_empty() { "no model".to_owned() } else { models.join(", ") };
    let models = printable(&models);
    let (turns, calls, tools) = (counts.invocations, counts.llm_calls, counts.tool_calls);
    writeln!(out, "  {models}: {turns} turns, {calls} model calls, {tools} tool calls")?;
    let range = |name: &str, summary: &Summary| match summary.count {
        0 => None,
        1 => Some(format!("{name} {}", duration(summary.median))),
        _ => {
            let [min, median, max] = [summary.min, summary.median, summary.max].map(duration);
            Some(format!("{name} {min}/{median}/{max}"))
        }
    };
    let ranges = [
        range("turn", &latency.overall),
        range("model call", &latency.llm_calls),
        range("tool", &latency.tool_executions),
    ];
    let ranges: Vec<_> = ranges.into_iter().flatten().collect();
    if !ranges.is_empty() {
        writeln!(out, "  latency (min/median/max): {}", ranges.join(", "))?;
    }
    if tokens.total > 0 {
        let (input, output) = (tokens.total_prompt, tokens.total_output);
        let cache = match (tokens.cache_read_tokens, tokens.cache_creation_tokens) {
            (0, 0) => String::new(),
            (read, written) => format!(" (cache: {read} read, {written} written)"),
        };
        writeln!(out, "  tokens: {input} in, {output} out{cache}")?;
    }
    Ok(())
}

fn write_run_performance(performance: &RunPerformance, out: &mut impl Write) -> io::Result<()> {
    let RunPerformance { tokens, latency, counts, models, .. } = performance;
    let models: Vec<_> = models.iter().map(String::as_str).collect();
    writeln!(
        out,
        "{}",
        Style::new().bold().apply_to(format!(
            "All {} units: {} model calls, {} tool calls, models {}",
            counts.traces,
            counts.total_llm_calls,
            counts.total_tool_calls,
            printable(&models.join(", "))
        ))
    )?;
    let percentiles: Vec<_> =
        latency.overall_per_trace.iter().map(|(name, ms)| format!("{name} {}", duration(*ms))).collect();
    if !percentiles.is_empty() {
        writeln!(out, "  median turn per unit: {}", percentiles.join(", "))?;
    }
    writeln!(
        out,
        "  tokens: {} in, {} out, {:.0} in and {:.0} out per unit (cache: {} read, {} written)",
        tokens.total_prompt,
        tokens.total_output,
        tokens.avg_per_trace.prompt,
        tokens.avg_per_trace.output,
        tokens.cache_read_tokens,
        tokens.cache_creation_tokens
    )
}
