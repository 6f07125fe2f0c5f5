//! Latency, tokens and counts as they are answered.

use std::collections::{BTreeMap, BTreeSet};

use poem_openapi::Object;
use serde::Serialize;

use crate::extraction::performance::{
    Counts, Latency, Performance, RunCounts, RunPerformance, RunTokens, Summary, Tokens,
};

/// How numbers are distributed; all 0 when there are none.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "Distribution")]
struct DistributionAnswer {
    /// The least.
    min: f64,
    /// The one in the middle.
    median: f64,
    /// The greatest.
    max: f64,
    /// How many there are.
    count: usize,
    /// The same as the median.
    p50: f64,
    /// What 95 % do not exceed.
    p95: f64,
    /// What 99 % do not exceed.
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
    /// Of turns; of root spans when there is no turn.
    overall: DistributionAnswer,
    /// Of model calls.
    llm_calls: DistributionAnswer,
    /// Of tool calls that have a span.
    tool_executions: DistributionAnswer,
}

impl From<Latency> for LatencyAnswer {
    fn from(Latency { overall, llm_calls, tool_executions }: Latency) -> Self {
        Self { overall: overall.into(), llm_calls: llm_calls.into(), tool_executions: tool_executions.into() }
    }
}

/// Tokens over the model calls that reported them.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Tokens", rename_all = "camelCase")]
struct TokensAnswer {
    /// Read by models.
    total_prompt: i64,
    /// Written by models.
    total_output: i64,
    /// Both together.
    total: i64,
    /// Both together, of each call.
    per_llm_call: DistributionAnswer,
    /// Written to caches of prompts.
    cache_creation_tokens: i64,
    /// Read from caches of prompts.
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

/// How many there are of each.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "CallCounts", rename_all = "camelCase")]
struct CallCountsAnswer {
    /// Model calls.
    llm_calls: usize,
    /// Tool calls.
    tool_calls: usize,
    /// Turns.
    invocations: usize,
}

impl From<Counts> for CallCountsAnswer {
    fn from(Counts { llm_calls, tool_calls, invocations }: Counts) -> Self {
        Self { llm_calls, tool_calls, invocations }
    }
}

/// The numbers of one evaluation unit.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "Performance", rename_all = "camelCase")]
pub(super) struct PerformanceAnswer {
    /// Latencies in milliseconds.
    latency: LatencyAnswer,
    /// Tokens.
    tokens: TokensAnswer,
    /// Calls and turns.
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

/// Averages over evaluation units.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "AverageTokens")]
struct AverageTokensAnswer {
    /// Tokens read.
    prompt: f64,
    /// Tokens written.
    output: f64,
}

/// Tokens of all evaluation units.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "RunTokens", rename_all = "camelCase")]
struct RunTokensAnswer {
    /// Read by models.
    total_prompt: i64,
    /// Written by models.
    total_output: i64,
    /// Both together.
    total: i64,
    /// Averages over evaluation units.
    avg_per_trace: AverageTokensAnswer,
    /// Written to caches of prompts.
    cache_creation_tokens: i64,
    /// Read from caches of prompts.
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
    /// `p50`, `p95` and `p99` over the median of each unit; empty when no unit has one.
    overall_per_trace: BTreeMap<String, f64>,
}

/// Calls of all evaluation units.
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "RunCounts", rename_all = "camelCase")]
struct RunCountsAnswer {
    /// Evaluation units.
    traces: usize,
    /// Model calls.
    total_llm_calls: usize,
    /// Tool calls.
    total_tool_calls: usize,
    /// Model calls of a unit on average.
    avg_llm_calls_per_trace: f64,
    /// Tool calls of a unit on average.
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

/// The numbers of all evaluation units together.
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
    /// Evaluation units.
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
