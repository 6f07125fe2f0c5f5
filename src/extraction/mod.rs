//! From spans and log records to conversations: one algorithm for every producer.
//!
//! Each span gets one canonical view (`overlay`, `messages`, `legacy`) and a place in the tree (`tree`). From these
//! follow the calls (`model_calls`, `tool_calls`), the turns (`turns`) and the numbers (`performance`). Traces of one
//! conversation are extracted together, so that a turn may continue in the next trace.

mod attrs;
mod grouping;
mod identity;
mod legacy;
mod messages;
mod model_calls;
mod overlay;
pub mod performance;
mod tool_calls;
mod tree;
mod turns;

pub use grouping::{GroupKey, conversation_key, explicit_case_id, has_session_name};
pub use identity::Identity;

use crate::invocation::Invocation;
use crate::trace::{Trace, Warning, Warnings};
use performance::Performance;
use tree::Analysis;

/// The conversation recorded in the traces of one evaluation unit.
#[derive(Debug)]
pub struct Conversation {
    /// The turns in order of time.
    pub invocations: Vec<Invocation>,
    /// Latency, tokens and counts.
    pub performance: Performance,
    /// Data that was lost, mended or guessed while reading and extracting.
    pub warnings: Vec<Warning>,
    /// `service.name` of the first resource that has it.
    pub service_name: Option<String>,
    /// Agent of the first turn that names one.
    pub agent_name: Option<String>,
    /// Agent, model and provider, for listings.
    pub identity: Identity,
    /// Start of the first span, nanoseconds since the Unix epoch.
    pub start_unix_nanos: i64,
    /// The first conversation id on a span.
    pub conversation_id: Option<String>,
    /// Why there are no invocations; `None` when there are some.
    pub emptiness: Option<String>,
}

/// Extracts the conversation recorded in `traces`, which belong to one evaluation unit.
pub fn extract(traces: &[&Trace<'_>]) -> Conversation {
    let analyses: Vec<_> = traces.iter().map(|trace| Analysis::new(trace)).collect();
    let mut warnings = Warnings::default();
    let mut turns = Vec::new();
    for analysis in &analyses {
        warnings.extend(&analysis.warnings);
        turns.extend(turns::turns_of(analysis, &mut warnings));
    }
    turns.sort_by(|a, b| (a.start_unix_nanos, a.span_id).cmp(&(b.start_unix_nanos, b.span_id)));
    let turns = turns::join_continuations(turns, &mut warnings);
    let mut performance = Performance::measure(&analyses, &turns);
    let emptiness = turns.is_empty().then(|| describe_emptiness(&analyses));
    let agent_name = turns.iter().find_map(|turn| turn.agent_name).map(str::to_owned);
    let invocations: Vec<_> = turns.into_iter().map(|turn| turn.into_invocation(&mut warnings)).collect();
    let tools = || invocations.iter().flat_map(|invocation| &invocation.tool_calls);
    performance.counts.tool_calls = tools().count();
    performance.tool_names = tools().map(|call| call.name.clone()).collect();
    Conversation {
        performance,
        warnings: warnings.to_vec(),
        service_name: grouping::service_name(traces),
        agent_name,
        identity: Identity::of(&analyses),
        start_unix_nanos: traces.iter().map(|trace| trace.start_unix_nanos()).min().unwrap_or_default(),
        conversation_id: grouping::conversation_id(traces),
        emptiness,
        invocations,
    }
}

/// Why traces yield no turn: the kinds of spans they have instead.
fn describe_emptiness(analyses: &[Analysis<'_>]) -> String {
    let views = || analyses.iter().flat_map(|analysis| &analysis.views);
    let count = |operation| views().filter(|view| view.operation == operation).count();
    let (spans, tools) = (views().count(), count(overlay::Operation::Tool));
    let agents = count(overlay::Operation::Agent) + count(overlay::Operation::Workflow);
    format!(
        "no invocations extracted from trace: of {spans} spans {agents} are agents, {tools} tools and none a \
         model call (spans are recognised by `gen_ai.operation.name`)"
    )
}
