//! Latency, tokens and call counts of one evaluation unit and of a whole run, in the reference's shape.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::overlay::Usage;
use super::tree::Analysis;
use super::turns::{Turn, milliseconds};

/// Statistics of a list of numbers; all zero when the list is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Summary {
    pub min: f64,
    pub median: f64,
    pub max: f64,
    pub count: usize,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

impl Summary {
    /// Summarises numbers. A percentile is the number at index ⌊count × share⌋, as in the reference.
    pub fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (numbers.first().copied(), numbers.last().copied()) else {
            return Self::default();
        };
        let count = numbers.len();
        let middle = count / 2;
        let median =
            if count % 2 == 1 { numbers[middle] } else { (numbers[middle - 1] + numbers[middle]) / 2.0 };
        let rank = |share: f64| numbers[((count as f64 * share) as usize).min(count - 1)];
        Self { min, median, max, count, p50: median, p95: rank(0.95), p99: rank(0.99) }
    }
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Per turn; per root span when no turn was found.
    pub overall: Summary,
    /// Per logical model call.
    pub llm_calls: Summary,
    /// Per tool call that has a span.
    pub tool_executions: Summary,
}

/// Token counts over the calls that reported usage.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Tokens {
    pub total_prompt: i64,
    pub total_output: i64,
    pub total: i64,
    pub per_llm_call: Summary,
    pub cache_creation_tokens: i64,
    pub cache_read_tokens: i64,
}

/// Counts of calls and turns.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub llm_calls: usize,
    pub tool_calls: usize,
    pub invocations: usize,
}

/// The numbers of one evaluation unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Performance {
    pub latency: Latency,
    pub tokens: Tokens,
    pub counts: Counts,
    pub models: BTreeSet<String>,
    pub tool_names: BTreeSet<String>,
}

impl Performance {
    /// Measures a unit. The caller adds tool counts and names, which need the finished invocations.
    pub(super) fn measure(analyses: &[Analysis<'_>], turns: &[Turn<'_>]) -> Self {
        let calls = || turns.iter().flat_map(|turn| &turn.calls);
        Self {
            latency: Latency::of(analyses, turns),
            tokens: Tokens::of(calls().filter_map(|call| call.usage)),
            counts: Counts { llm_calls: calls().count(), tool_calls: 0, invocations: turns.len() },
            models: calls().filter_map(|call| call.model).map(str::to_owned).collect(),
            tool_names: BTreeSet::new(),
        }
    }
}

impl Latency {
    fn of(analyses: &[Analysis<'_>], turns: &[Turn<'_>]) -> Self {
        let turn_ms: Vec<_> =
            turns.iter().map(|turn| milliseconds(turn.start_unix_nanos, turn.end_unix_nanos)).collect();
        let calls = turns.iter().flat_map(|turn| &turn.calls);
        let call_ms = calls.map(|call| milliseconds(call.start_unix_nanos, call.end_unix_nanos)).collect();
        let tools = turns.iter().flat_map(|turn| &turn.span_calls);
        let tool_ms = tools.map(|tool| milliseconds(tool.start_unix_nanos, tool.end_unix_nanos)).collect();
        Self {
            overall: Summary::of(if turns.is_empty() { root_spans_ms(analyses) } else { turn_ms }),
            llm_calls: Summary::of(call_ms),
            tool_executions: Summary::of(tool_ms),
        }
    }
}

fn root_spans_ms(analyses: &[Analysis<'_>]) -> Vec<f64> {
    let traces = analyses.iter().map(|analysis| analysis.trace);
    let roots = traces.flat_map(|trace| trace.roots.iter().map(|root| &trace.spans[*root as usize]));
    roots.map(|root| root.duration_nanos() as f64 / 1e6).collect()
}

impl Tokens {
    fn of(usages: impl Iterator<Item = Usage>) -> Self {
        let mut tokens = Self::default();
        let mut per_call = Vec::new();
        for usage in usages {
            // Reported numbers are not trusted: no negative ones, and sums saturate.
            let count = |reported: Option<i64>| reported.unwrap_or_default().max(0);
            let (input, output) = (count(usage.input), count(usage.output));
            tokens.total_prompt = tokens.total_prompt.saturating_add(input);
            tokens.total_output = tokens.total_output.saturating_add(output);
            tokens.cache_read_tokens = tokens.cache_read_tokens.saturating_add(count(usage.cache_read));
            tokens.cache_creation_tokens =
                tokens.cache_creation_tokens.saturating_add(count(usage.cache_write));
            per_call.push(input as f64 + output as f64);
        }
        tokens.total = tokens.total_prompt.saturating_add(tokens.total_output);
        tokens.per_llm_call = Summary::of(per_call);
        tokens
    }
}

/// Averages per evaluation unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct AveragePerTrace {
    pub prompt: f64,
    pub output: f64,
}

/// Token counts of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RunTokens {
    pub total_prompt: i64,
    pub total_output: i64,
    pub total: i64,
    pub avg_per_trace: AveragePerTrace,
    pub cache_creation_tokens: i64,
    pub cache_read_tokens: i64,
}

/// Percentiles over the median turn latency of each unit, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// Latency of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunLatency {
    /// Empty when no unit has a turn or root span.
    pub overall_per_trace: BTreeMap<&'static str, f64>,
}

/// Counts of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RunCounts {
    pub traces: usize,
    pub total_llm_calls: usize,
    pub total_tool_calls: usize,
    pub avg_llm_calls_per_trace: f64,
    pub avg_tool_calls_per_trace: f64,
}

/// The numbers of a whole run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RunPerformance {
    pub tokens: RunTokens,
    pub latency: RunLatency,
    pub counts: RunCounts,
    pub models: BTreeSet<String>,
    pub trace_count: usize,
}

impl RunPerformance {
    /// Sums up the units of a run; `None` for a run without units.
    pub fn of(units: &[&Performance]) -> Option<Self> {
        let count = units.len();
        if count == 0 {
            return None;
        }
        let sum = |number: fn(&Performance) -> i64| {
            units.iter().map(|unit| number(unit)).fold(0, i64::saturating_add)
        };
        let per_unit = |total: f64| total / count as f64;
        let (prompt, output) = (sum(|unit| unit.tokens.total_prompt), sum(|unit| unit.tokens.total_output));
        let llm_calls: usize = units.iter().map(|unit| unit.counts.llm_calls).sum();
        let tool_calls: usize = units.iter().map(|unit| unit.counts.tool_calls).sum();
        let medians = units.iter().map(|unit| unit.latency.overall).filter(|overall| overall.count > 0);
        let overall = Summary::of(medians.map(|overall| overall.median).collect());
        let percentiles = [("p50", overall.p50), ("p95", overall.p95), ("p99", overall.p99)];
        Some(Self {
            tokens: RunTokens {
                total_prompt: prompt,
                total_output: output,
                total: prompt.saturating_add(output),
                avg_per_trace: AveragePerTrace {
                    prompt: per_unit(prompt as f64),
                    output: per_unit(output as f64),
                },
                cache_creation_tokens: sum(|unit| unit.tokens.cache_creation_tokens),
                cache_read_tokens: sum(|unit| unit.tokens.cache_read_tokens),
            },
            latency: RunLatency {
                overall_per_trace: percentiles.into_iter().filter(|_| overall.count > 0).collect(),
            },
            counts: RunCounts {
                traces: count,
                total_llm_calls: llm_calls,
                total_tool_calls: tool_calls,
                avg_llm_calls_per_trace: per_unit(llm_calls as f64),
                avg_tool_calls_per_trace: per_unit(tool_calls as f64),
            },
            models: units.iter().flat_map(|unit| unit.models.iter().cloned()).collect(),
            trace_count: count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank_truncated() {
        let summary = Summary::of((1..=100).map(f64::from).collect());
        assert_eq!((summary.median, summary.p95, summary.p99), (50.5, 96.0, 100.0));
        assert_eq!(Summary::of(vec![7.0]).p99, 7.0);
        assert_eq!(Summary::of(Vec::new()), Summary::default());
    }
}
