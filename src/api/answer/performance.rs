//! Latency, tokens and counts in answers.

use std::collections::{BTreeMap, BTreeSet};

use poem_openapi::Object;
use serde::Serialize;

use crate::extraction::performance::{
    Counts, Latency, Performance, RunCounts, RunPerformance, RunTokens, Summary, Tokens,
};

/// Distribution of a set of numbers; all members are 0 if the set is empty.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "Distribution")]
struct DistributionAnswer {
    /// Minimum.
    min: f64,
    /// Median.
    median: f64,
    /// Maximum.
    max: f64,
    /// How many numbers there are.
    count: usize,
    /// 50th percentile, the median.
    p50: f64,
    /// 95th percentile.
    p95: f64,
    /// 99th percentile.
    p99: f64,
}

impl From<Summary> for DistributionAnswer {
    fn from(Summary { min, median, max, count, p50, p95, p99 }: Summary) -> Self {
        Self { min, median, max, count, p50, p95, p99 }
    }
}

/// Latencies in milliseconds.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Latency", rename_all = "camelCase")]
struct LatencyAnswer {
    /// Latencies of turns; of root spans if there are no turns.
    overall: DistributionAnswer,
    /// Latencies of model calls.
    llm_calls: DistributionAnswer,
    /// Latencies of tool calls that have a span.
    tool_executions: DistributionAnswer,
}

impl From<Latency> for LatencyAnswer {
    fn from(Latency { overall, llm_calls, tool_executions }: Latency) -> Self {
        Self { overall: overall.into(), llm_calls: llm_calls.into(), tool_executions: tool_executions.into() }
    }
}

/// Tokens of the model calls that report them.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Tokens", rename_all = "camelCase")]
struct TokensAnswer {
    /// Input tokens.
    total_prompt: i64,
    /// Output tokens.
    total_output: i64,
    /// Input and output tokens.
    total: i64,
    /// Input and output tokens per call.
    per_llm_call: DistributionAnswer,
    /// Tokens written to prompt caches.
    cache_creation_tokens: i64,
    /// Tokens read from prompt caches.
    cache_read_tokens: i64,
}

impl From<Tokens> for TokensAnswer {
    fn from(tokens: Tokens) -> Self {
        Self {
            total_prompt: tokens.total_prompt,
            total_output: tokens.total_output,
            total: tokens.total,
            per_llm_call: tokens.per_llm_call.into(),
            cache_creation_tokens: tokens.cache_creation_tokens,
            cache_read_tokens: tokens.cache_read_tokens,
        }
    }
}

/// Numbers of calls and turns.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "CallCounts", rename_all = "camelCase")]
struct CallCountsAnswer {
    /// Number of model calls.
    llm_calls: usize,
    /// Number of tool calls.
    tool_calls: usize,
    /// Number of turns.
    invocations: usize,
}

impl From<Counts> for CallCountsAnswer {
    fn from(Counts { llm_calls, tool_calls, invocations }: Counts) -> Self {
        Self { llm_calls, tool_calls, invocations }
    }
}

/// Latency, tokens and counts of one evaluation unit.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Performance", rename_all = "camelCase")]
pub(super) struct PerformanceAnswer {
    /// Latencies in milliseconds.
    latency: LatencyAnswer,
    /// Tokens.
    tokens: TokensAnswer,
    /// Numbers of calls and turns.
    counts: CallCountsAnswer,
    /// Models that were called, sorted.
    models: BTreeSet<String>,
    /// Tools that were called, sorted.
    tool_names: BTreeSet<String>,
}

impl From<Performance> for PerformanceAnswer {
    fn from(Performance { latency, tokens, counts, models, tool_names }: Performance) -> Self {
        Self { latency: latency.into(), tokens: tokens.into(), counts: counts.into(), models, tool_names }
    }
}

/// Average tokens of an evaluation unit.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "AverageTokens")]
struct AverageTokensAnswer {
    /// Input tokens.
    prompt: f64,
    /// Output tokens.
    output: f64,
}

/// Tokens of all evaluation units.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "RunTokens", rename_all = "camelCase")]
struct RunTokensAnswer {
    /// Input tokens.
    total_prompt: i64,
    /// Output tokens.
    total_output: i64,
    /// Input and output tokens.
    total: i64,
    /// Average tokens of an evaluation unit.
    avg_per_trace: AverageTokensAnswer,
    /// Tokens written to prompt caches.
    cache_creation_tokens: i64,
    /// Tokens read from prompt caches.
    cache_read_tokens: i64,
}

impl From<RunTokens> for RunTokensAnswer {
    fn from(tokens: RunTokens) -> Self {
        let average = tokens.avg_per_trace;
        Self {
            total_prompt: tokens.total_prompt,
            total_output: tokens.total_output,
            total: tokens.total,
            avg_per_trace: AverageTokensAnswer { prompt: average.prompt, output: average.output },
            cache_creation_tokens: tokens.cache_creation_tokens,
            cache_read_tokens: tokens.cache_read_tokens,
        }
    }
}

/// Latencies of all evaluation units in milliseconds.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "RunLatency", rename_all = "camelCase")]
struct RunLatencyAnswer {
    /// `p50`, `p95` and `p99` of the median latencies of the units; empty if no unit has one.
    overall_per_trace: BTreeMap<String, f64>,
}

/// Calls of all evaluation units.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "RunCounts", rename_all = "camelCase")]
struct RunCountsAnswer {
    /// Number of evaluation units.
    traces: usize,
    /// Number of model calls.
    total_llm_calls: usize,
    /// Number of tool calls.
    total_tool_calls: usize,
    /// Average number of model calls of a unit.
    avg_llm_calls_per_trace: f64,
    /// Average number of tool calls of a unit.
    avg_tool_calls_per_trace: f64,
}

impl From<RunCounts> for RunCountsAnswer {
    fn from(counts: RunCounts) -> Self {
        Self {
            traces: counts.traces,
            total_llm_calls: counts.total_llm_calls,
            total_tool_calls: counts.total_tool_calls,
            avg_llm_calls_per_trace: counts.avg_llm_calls_per_trace,
            avg_tool_calls_per_trace: counts.avg_tool_calls_per_trace,
        }
    }
}

/// Latency, tokens and counts of all evaluation units together.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "RunPerformance", rename_all = "camelCase")]
pub(super) struct RunPerformanceAnswer {
    /// Tokens.
    tokens: RunTokensAnswer,
    /// Latencies.
    latency: RunLatencyAnswer,
    /// Calls.
    counts: RunCountsAnswer,
    /// Models that were called, sorted.
    models: BTreeSet<String>,
    /// Number of evaluation units.
    trace_count: usize,
}

impl From<RunPerformance> for RunPerformanceAnswer {
    fn from(RunPerformance { tokens, latency, counts, models, trace_count }: RunPerformance) -> Self {
        let percentiles = latency.overall_per_trace.into_iter();
        let overall_per_trace = percentiles.map(|(name, value)| (name.to_owned(), value)).collect();
        Self {
            tokens: tokens.into(),
            latency: RunLatencyAnswer { overall_per_trace },
            counts: counts.into(),
            models,
            trace_count,
        }
    }
}
