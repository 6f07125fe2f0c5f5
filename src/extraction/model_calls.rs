//! Logical model calls of a turn.
//!
//! One call often leaves a chain of spans, the framework's around the provider's. A chain counts as one call; a span
//! around several calls does not count.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::messages::{ChatMessage, MessagePart};
use super::overlay::{Operation, Usage, View};
use super::tree::Analysis;

/// One logical model call.
#[derive(Debug, Clone)]
pub(super) struct ModelCall<'v> {
    pub(super) start_unix_nanos: i64,
    pub(super) end_unix_nanos: i64,
    /// Whether an agent that is used as a tool made the call, below a tool span.
    pub(super) delegated: bool,
    pub(super) usage: Option<Usage>,
    /// The requested model, else the one that answered.
    pub(super) model: Option<&'v str>,
    /// Id of the innermost span.
    pub(super) span_id: &'v str,
    pub(super) response_id: Option<&'v str>,
    pub(super) finish_reasons: &'v [Cow<'v, str>],
    pub(super) input: &'v [ChatMessage<'v>],
    pub(super) output: &'v [ChatMessage<'v>],
    /// Whether messages were recorded that cannot be read.
    pub(super) has_unreadable: bool,
    pub(super) agent_name: Option<&'v str>,
}

/// Finds the model calls among the spans of a turn, sorted by (start, end).
pub(super) fn model_calls<'v>(analysis: &'v Analysis<'v>, members: &[u32]) -> Vec<ModelCall<'v>> {
    let is_call = |span: &u32| analysis.views[*span as usize].operation == Operation::Inference;
    let spans: Vec<u32> = members.iter().copied().filter(is_call).collect();
    let own: HashSet<u32> = spans.iter().copied().collect();
    let parent =
        |span: u32| analysis.places[span as usize].inference_parent.filter(|parent| own.contains(parent));
    // Members come depth first, so in reverse order children come before their parents.
    let mut leaves: HashMap<u32, usize> = HashMap::new();
    let mut child: HashMap<u32, u32> = HashMap::new();
    for span in spans.iter().rev().copied() {
        let below = *leaves.entry(span).or_insert(1);
        if let Some(parent) = parent(span) {
            *leaves.entry(parent).or_insert(0) += below;
            child.insert(parent, span);
        }
    }
    let mut calls = Vec::new();
    for span in spans {
        // A chain starts at a span with one leaf below whose parent, if any, has several.
        let inside_chain = parent(span).is_some_and(|parent| leaves[&parent] == 1);
        if leaves[&span] > 1 || inside_chain {
            continue;
        }
        let chain = std::iter::successors(Some(span), |span| child.get(span).copied()).collect::<Vec<_>>();
        calls.push(ModelCall::new(analysis, &chain));
    }
    calls.sort_by_key(|call| (call.start_unix_nanos, call.end_unix_nanos));
    calls
}

impl<'v> ModelCall<'v> {
    /// Reads a chain of spans, outermost first; a fact is taken from the innermost span that has it.
    fn new(analysis: &'v Analysis<'v>, chain: &[u32]) -> Self {
        let views: Vec<&'v View<'v>> =
            chain.iter().rev().map(|span| &analysis.views[*span as usize]).collect();
        let spans = || chain.iter().map(|span| &analysis.trace.spans[*span as usize]);
        let messages = |of: fn(&'v View<'v>) -> &'v [ChatMessage<'v>]| {
            views.iter().map(|view| of(view)).find(|list| !list.is_empty()).unwrap_or_default()
        };
        let request_model = views.iter().find_map(|view| view.request_model.as_deref());
        let response_model = || views.iter().find_map(|view| view.response_model.as_deref());
        let leaf_span = chain[chain.len() - 1] as usize;
        let leaf = analysis.places[leaf_span];
        let agent_name = leaf.agent.and_then(|agent| analysis.views[agent as usize].agent_name.as_deref());
        Self {
            start_unix_nanos: spans().map(|span| span.start_unix_nanos).min().unwrap_or_default(),
            end_unix_nanos: spans().map(|span| span.end_unix_nanos).max().unwrap_or_default(),
            span_id: &analysis.trace.spans[leaf_span].id,
            response_id: views.iter().find_map(|view| view.response_id.as_deref()),
            delegated: leaf.under_tool,
            usage: views.iter().find_map(|view| view.usage),
            model: request_model.or_else(response_model),
            finish_reasons: views
                .iter()
                .map(|view| &*view.finish_reasons)
                .find(|r| !r.is_empty())
                .unwrap_or_default(),
            input: messages(|view| &view.input),
            output: messages(|view| &view.output),
            has_unreadable: views.iter().any(|view| !view.unreadable.is_empty()),
            agent_name: agent_name.or_else(|| views.iter().find_map(|view| view.agent_name.as_deref())),
        }
    }

    /// Sort key: the end, then the start.
    pub(super) fn end_key(&self) -> (i64, i64) {
        (self.end_unix_nanos, self.start_unix_nanos)
    }

    /// Whether the model said that it stopped in order to call tools; `None` when it did not say why it stopped.
    pub(super) fn stopped_for_tools(&self) -> Option<bool> {
        let is_for_tools =
            |reason: &str| matches!(reason, "tool_calls" | "tool_call" | "tool_use" | "function_call");
        (!self.finish_reasons.is_empty())
            .then(|| self.finish_reasons.iter().any(|reason| is_for_tools(reason)))
    }

    /// Why this call may have requested tools that nothing shows; `None` when it cannot have.
    pub(super) fn unseen_requests(&self) -> Option<&'static str> {
        let shows_requests = self.requested_tools().next().is_some();
        match (self.stopped_for_tools(), self.output.is_empty()) {
            (Some(false), _) => None,
            (_, true) if self.has_unreadable => Some("no tool spans, and messages that cannot be read"),
            (Some(true), true) => {
                Some("no tool spans and no message content, and a model call stopped for tool calls")
            }
            (None, true) => Some("no tool spans and no message content"),
            (Some(true), false) if !shows_requests => {
                Some("a model call stopped for tool calls, of which none was recorded")
            }
            (_, false) => None,
        }
    }

    /// The tool calls that the model requested, as (id, name).
    pub(super) fn requested_tools(&self) -> impl Iterator<Item = (Option<&'v str>, &'v str)> {
        self.output.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
            MessagePart::ToolCall { id, name: Some(name), .. } => Some((id.as_deref(), &**name)),
            _ => None,
        })
    }

    /// The ids of the tool responses shown to the model.
    pub(super) fn answered_ids(&self) -> impl Iterator<Item = &'v str> {
        self.input.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
            MessagePart::ToolResponse { id, .. } => id.as_deref(),
            _ => None,
        })
    }
}
