//! Latency, tokens and counts as lines for people.

use super::text::{duration, printable};
use crate::extraction::performance::{Performance, RunPerformance, Summary};

/// The performance of one evaluation unit: models and counts, then latencies and tokens where there are any.
pub(super) fn unit_lines(performance: &Performance) -> Vec<String> {
    let Performance { latency, tokens, counts, models, .. } = performance;
    let names: Vec<_> = models.iter().map(String::as_str).collect();
    let models = if names.is_empty() { "no model".to_owned() } else { names.join(", ") };
    let mut lines = vec![format!(
        "{}: {} turns, {} model calls, {} tool calls",
        printable(&models),
        counts.invocations,
        counts.llm_calls,
        counts.tool_calls
    )];
    let mut ranges = Vec::new();
    for (name, summary) in
        [("turn", &latency.overall), ("model call", &latency.llm_calls), ("tool", &latency.tool_executions)]
    {
        ranges.extend(range(summary).map(|range| format!("{name} {range}")));
    }
    if !ranges.is_empty() {
        lines.push(format!("latency (min/median/max): {}", ranges.join(", ")));
    }
    if tokens.total > 0 {
        let cache = match (tokens.cache_read_tokens, tokens.cache_creation_tokens) {
            (0, 0) => String::new(),
            (read, written) => format!(" (cache: {read} read, {written} written)"),
        };
        lines.push(format!("tokens: {} in, {} out{cache}", tokens.total_prompt, tokens.total_output));
    }
    lines
}

/// Least, middle and greatest duration; a single one by itself, none for none.
fn range(summary: &Summary) -> Option<String> {
    match summary.count {
        0 => None,
        1 => Some(duration(summary.median)),
        _ => {
            let [min, median, max] = [summary.min, summary.median, summary.max].map(duration);
            Some(format!("{min}/{median}/{max}"))
        }
    }
}

/// The title above [`run_lines`].
pub(super) fn run_title(performance: &RunPerformance) -> String {
    let RunPerformance { counts, models, .. } = performance;
    let models: Vec<_> = models.iter().map(String::as_str).collect();
    format!(
        "All {} units: {} model calls, {} tool calls, models {}",
        counts.traces,
        counts.total_llm_calls,
        counts.total_tool_calls,
        printable(&models.join(", "))
    )
}

/// The performance of all evaluation units together.
pub(super) fn run_lines(performance: &RunPerformance) -> Vec<String> {
    let RunPerformance { tokens, latency, .. } = performance;
    let mut lines = Vec::new();
    let percentiles: Vec<_> =
        latency.overall_per_trace.iter().map(|(name, ms)| format!("{name} {}", duration(*ms))).collect();
    if !percentiles.is_empty() {
        lines.push(format!("median turn per unit: {}", percentiles.join(", ")));
    }
    lines.push(format!(
        "tokens: {} in, {} out, {:.0} in and {:.0} out per unit (cache: {} read, {} written)",
        tokens.total_prompt,
        tokens.total_output,
        tokens.avg_per_trace.prompt,
        tokens.avg_per_trace.output,
        tokens.cache_read_tokens,
        tokens.cache_creation_tokens
    ));
    lines
}
