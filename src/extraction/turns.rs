//! Turns: one user request and everything the agent did about it.

use std::collections::HashSet;

use super::messages::{ChatMessage, ends_with_tool_response, text_of, user_turn};
use super::model_calls::{ModelCall, model_calls};
use super::overlay::Operation;
use super::tool_calls::{SpanCall, sort_by_start, span_calls, tool_calls};
use super::tree::Analysis;
use crate::invocation::{Invocation, TurnUsage};
use crate::trace::{SpanStatus, Warnings};

/// A turn before it becomes an [`Invocation`]; later traces may still continue it.
pub(super) struct Turn<'v> {
    pub(super) trace_id: &'v str,
    /// Id of the anchor span.
    pub(super) span_id: &'v str,
    /// Whether the anchor is a root span that is no agent; only such a turn can continue an earlier one.
    is_root: bool,
    /// Whether the anchor is itself a model call.
    is_model_call: bool,
    pub(super) start_unix_nanos: i64,
    pub(super) end_unix_nanos: i64,
    pub(super) agent_name: Option<&'v str>,
    /// Sorted by start once the turn is settled.
    pub(super) calls: Vec<ModelCall<'v>>,
    /// Index of the call that ended last.
    last_call: Option<usize>,
    pub(super) span_calls: Vec<SpanCall<'v>>,
    user_text: Option<String>,
    /// Texts of the agent before the response.
    interim_texts: Vec<String>,
    response_text: Option<String>,
    /// Whether any output of the agent was recorded.
    has_output: bool,
}

/// Finds the turns of a trace in depth-first order; warns of agents and tools that make no turn.
pub(super) fn turns_of<'v>(analysis: &'v Analysis<'v>, warnings: &mut Warnings) -> Vec<Turn<'v>> {
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); analysis.views.len()];
    for span in &analysis.order {
        members[analysis.places[*span as usize].owner as usize].push(*span);
    }
    let mut turns = Vec::new();
    for anchor in analysis.order.iter().copied() {
        let own = &members[anchor as usize];
        if own.is_empty() {
            continue;
        }
        let has = |operation| own.iter().any(|span| analysis.views[*span as usize].operation == operation);
        let (has_call, has_tool) = (has(Operation::Inference), has(Operation::Tool));
        let (view, span) = (&analysis.views[anchor as usize], &analysis.trace.spans[anchor as usize]);
        let is_agentic = analysis.is_agentic_anchor(anchor);
        let failed = span.status == SpanStatus::Error || view.has_error_type;
        let is_turn = match is_agentic {
            true => has_call || has_tool || failed || !view.input.is_empty() || !view.output.is_empty(),
            false => has_call,
        };
        if is_turn {
            turns.push(Turn::new(analysis, anchor, own, is_agentic));
        } else if is_agentic {
            let text = format!("agent span {} holds no model call, tool or message; it is no turn", span.id);
            warnings.push("agent_without_turn", text);
        } else if has_tool {
            let text = format!("root span {} has tool spans but no model call; it is no turn", span.id);
            warnings.push("tools_without_model_call", text);
        }
    }
    turns
}

impl<'v> Turn<'v> {
    fn new(analysis: &'v Analysis<'v>, anchor: u32, members: &[u32], is_agentic: bool) -> Self {
        let view = &analysis.views[anchor as usize];
        let calls = model_calls(analysis, members);
        let spans = || members.iter().map(|span| &analysis.trace.spans[*span as usize]);
        let anchor_name = analysis.places[anchor as usize].agent;
        let anchor_name = anchor_name.and_then(|agent| analysis.views[agent as usize].agent_name.as_deref());
        Self {
            trace_id: &analysis.trace.id,
            span_id: &analysis.trace.spans[anchor as usize].id,
            is_root: !is_agentic,
            is_model_call: view.operation == Operation::Inference,
            start_unix_nanos: spans().map(|span| span.start_unix_nanos).min().unwrap_or_default(),
            end_unix_nanos: spans().map(|span| span.end_unix_nanos).max().unwrap_or_default(),
            agent_name: anchor_name
                .or(view.agent_name.as_deref())
                .or_else(|| calls.first().and_then(|call| call.agent_name)),
            user_text: user_text(&view.input, &calls),
            interim_texts: interim_texts(&view.output, &calls),
            response_text: response_text(&view.output, &calls),
            has_output: !view.output.is_empty() || calls.iter().any(|call| !call.output.is_empty()),
            span_calls: span_calls(analysis, members),
            last_call: (0..calls.len()).max_by_key(|call| calls[*call].end_key()),
            calls,
        }
    }

    /// Whether any content of the turn was recorded.
    fn has_content(&self) -> bool {
        self.user_text.is_some()
            || self.response_text.is_some()
            || self.calls.iter().any(|call| !call.input.is_empty() || !call.output.is_empty())
    }

    /// The call that ended last.
    fn last_call(&self) -> Option<&ModelCall<'v>> {
        self.last_call.and_then(|call| self.calls.get(call))
    }

    /// Whether this turn goes on with the tool calls that ended `earlier`; `None` when messages are missing to tell.
    fn continues(&self, earlier: &Turn<'_>) -> Option<bool> {
        let (Some(first), Some(last)) = (self.calls.first(), earlier.last_call()) else {
            return Some(false);
        };
        if !self.is_root {
            return Some(false);
        }
        if first.input.is_empty() {
            return if last.stopped_for_tools() == Some(true) { None } else { Some(false) };
        }
        let mut requested = last.requested_tools().peekable();
        if !ends_with_tool_response(first.input) || requested.peek().is_none() {
            return Some(false);
        }
        let requested: HashSet<&str> = requested.filter_map(|(id, _)| id).collect();
        let mut answered = first.answered_ids().peekable();
        let comparable = !requested.is_empty() && answered.peek().is_some();
        Some(!comparable || answered.any(|id| requested.contains(id)))
    }

    /// Appends a turn that continues this one.
    fn join(&mut self, later: Turn<'v>) {
        self.start_unix_nanos = self.start_unix_nanos.min(later.start_unix_nanos);
        self.end_unix_nanos = self.end_unix_nanos.max(later.end_unix_nanos);
        // Sorting waits for `settle`: a turn may be continued thousands of times.
        let shifted = later.last_call.map(|call| call + self.calls.len());
        self.calls.extend(later.calls);
        self.last_call =
            self.last_call.into_iter().chain(shifted).max_by_key(|call| self.calls[*call].end_key());
        self.span_calls.extend(later.span_calls);
        self.has_output |= later.has_output;
        self.user_text = self.user_text.take().or(later.user_text);
        if later.response_text.is_some() {
            self.interim_texts.extend(self.response_text.take());
        }
        self.interim_texts.extend(later.interim_texts);
        self.response_text = later.response_text.or(self.response_text.take());
        self.agent_name = self.agent_name.or(later.agent_name);
    }

    /// Sorts the calls after all continuations were joined.
    fn settle(&mut self) {
        self.calls.sort_by_key(|call| (call.start_unix_nanos, call.end_unix_nanos));
        self.last_call = (0..self.calls.len()).max_by_key(|call| self.calls[*call].end_key());
        sort_by_start(&mut self.span_calls);
    }

    /// Makes an invocation of a settled turn.
    pub(super) fn into_invocation(self, warnings: &mut Warnings) -> Invocation {
        let has_unreadable = self.calls.iter().any(|call| call.has_unreadable);
        if !self.has_content() && !self.calls.is_empty() && !has_unreadable {
            let text =
                format!("turn {} carries no message content; was content capture switched on?", self.span_id);
            warnings.push("content_not_captured", text);
        }
        let usage = self.usage();
        let last_call = self.last_call();
        let evaluated = last_call.filter(|_| self.is_root && !self.is_model_call);
        let evaluated_span_id = evaluated.map_or(self.span_id, |call| call.span_id).to_owned();
        let response_id = last_call.and_then(|call| call.response_id).map(str::to_owned);
        Invocation {
            trace_id: self.trace_id.to_owned(),
            span_id: self.span_id.to_owned(),
            evaluated_span_id,
            response_id,
            unseen_calls: self.unseen_calls(),
            tool_calls: tool_calls(&self.calls, self.span_calls, warnings),
            start_unix_nanos: self.start_unix_nanos,
            agent_name: self.agent_name.map(str::to_owned),
            user_text: self.user_text,
            interim_texts: self.interim_texts,
            response_text: self.response_text,
            has_output: self.has_output,
            usage,
        }
    }

    /// Why the turn may have made tool calls that nothing shows. Where there are tool spans, they show all calls.
    fn unseen_calls(&self) -> Option<String> {
        if !self.span_calls.is_empty() {
            return None;
        }
        let why = match self.calls.is_empty() {
            true => (!self.has_content()).then_some("no model calls, tool spans or message content"),
            false => self.calls.iter().find_map(ModelCall::unseen_requests),
        };
        why.map(|why| format!("tool calls of turn {} cannot be seen: {why}", self.span_id))
    }

    fn usage(&self) -> TurnUsage {
        let sum = |count: fn(&super::overlay::Usage) -> Option<i64>| {
            let counts = self.calls.iter().filter_map(|call| count(&call.usage?));
            counts.map(|count| count.max(0)).reduce(i64::saturating_add)
        };
        let calls = self.calls.iter().map(|call| (call.start_unix_nanos, call.end_unix_nanos));
        let tools = self.span_calls.iter().map(|call| (call.start_unix_nanos, call.end_unix_nanos));
        TurnUsage {
            model_calls: self.calls.len(),
            input_tokens: sum(|usage| usage.input),
            output_tokens: sum(|usage| usage.output),
            total_ms: milliseconds(self.start_unix_nanos, self.end_unix_nanos),
            model_ms: covered_milliseconds(calls.collect()),
            tool_ms: covered_milliseconds(tools.collect()),
        }
    }
}

/// The time from start to end in milliseconds, never negative.
pub(super) fn milliseconds(start_unix_nanos: i64, end_unix_nanos: i64) -> f64 {
    end_unix_nanos.saturating_sub(start_unix_nanos).max(0) as f64 / 1e6
}

/// The time that at least one of the intervals covers, in milliseconds.
fn covered_milliseconds(mut intervals: Vec<(i64, i64)>) -> f64 {
    intervals.sort_unstable();
    let (mut total, mut reached) = (0.0, i64::MIN);
    for (start, end) in intervals {
        total += milliseconds(start.max(reached), end);
        reached = reached.max(end);
    }
    total
}

fn user_text(anchor_input: &[ChatMessage<'_>], calls: &[ModelCall<'_>]) -> Option<String> {
    if !anchor_input.is_empty() {
        let turn = user_turn(anchor_input);
        return text_of(if turn.is_empty() { anchor_input } else { turn });
    }
    let first = calls.iter().find(|call| !call.input.is_empty())?;
    text_of(user_turn(first.input))
}

fn response_text(anchor_output: &[ChatMessage<'_>], calls: &[ModelCall<'_>]) -> Option<String> {
    if !anchor_output.is_empty() {
        return text_of(anchor_output);
    }
    text_of(final_call(calls)?.output)
}

/// The calls with texts of the turn's own agent; those of agents used as tools only if there are no others.
fn speaking_calls<'c, 'v>(calls: &'c [ModelCall<'v>]) -> impl Iterator<Item = &'c ModelCall<'v>> {
    let all_delegated = calls.iter().all(|call| call.delegated);
    calls.iter().filter(move |call| (all_delegated || !call.delegated) && text_of(call.output).is_some())
}

/// The speaking call that ended last.
fn final_call<'c, 'v>(calls: &'c [ModelCall<'v>]) -> Option<&'c ModelCall<'v>> {
    speaking_calls(calls).max_by_key(|call| call.end_key())
}

/// Texts of the agent before the response, one per message.
fn interim_texts(anchor_output: &[ChatMessage<'_>], calls: &[ModelCall<'_>]) -> Vec<String> {
    let last = final_call(calls).filter(|_| anchor_output.is_empty());
    let is_final = |call: &ModelCall<'_>| last.is_some_and(|last| std::ptr::eq(last, call));
    let messages = speaking_calls(calls).filter(|call| !is_final(call)).flat_map(|call| call.output);
    let mut texts: Vec<_> = messages.filter_map(|message| text_of(std::slice::from_ref(message))).collect();
    if !anchor_output.is_empty()
        && texts.last().is_some_and(|last| Some(last) == text_of(anchor_output).as_ref())
    {
        texts.pop();
    }
    texts
}

/// Joins turns that continue earlier ones. `turns` are sorted by start.
///
/// The continued turn may be further back than the previous one, since conversations of one group may overlap.
pub(super) fn join_continuations<'v>(turns: Vec<Turn<'v>>, warnings: &mut Warnings) -> Vec<Turn<'v>> {
    /// Turns that are searched backwards; bounds the work on long sessions.
    const LOOK_BACK: usize = 32;
    let mut joined: Vec<Turn<'v>> = Vec::with_capacity(turns.len());
    for turn in turns {
        let previous = joined.last().map(|previous| turn.continues(previous));
        if previous == Some(None) {
            let text = format!("turn {} may continue the one before; its messages are missing", turn.span_id);
            warnings.push("possible_continuation", text);
        }
        let earlier = match previous {
            Some(Some(false)) => {
                let recent = joined.iter().enumerate().rev().skip(1).take(LOOK_BACK);
                recent.filter(|(_, earlier)| turn.answers(earlier)).map(|(index, _)| index).next()
            }
            Some(Some(true)) => Some(joined.len() - 1),
            _ => None,
        };
        match earlier {
            Some(index) => joined[index].join(turn),
            None => joined.push(turn),
        }
    }
    joined.iter_mut().for_each(Turn::settle);
    joined
}

impl Turn<'_> {
    /// Whether ids prove that this turn answers the tool calls of `earlier`.
    fn answers(&self, earlier: &Turn<'_>) -> bool {
        let Some((first, last)) = self.calls.first().zip(earlier.last_call()) else {
            return false;
        };
        let requested: HashSet<&str> = last.requested_tools().filter_map(|(id, _)| id).collect();
        self.continues(earlier) == Some(true) && first.answered_ids().any(|id| requested.contains(id))
    }
}
