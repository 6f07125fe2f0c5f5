//! Logical model calls and tool calls of a turn.
//!
//! One call often leaves several spans (a framework's span around the provider's, a tool's span around its MCP
//! client's) and traces in messages (the request in one call's output, the result in a later call's input).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use super::messages::{Message, Part, parsed_or_kept};
use super::overlay::{Operation, Usage, View};
use super::tree::Analysis;
use crate::invocation::{Args, ToolCall};
use crate::json::Value;
use crate::trace::Warnings;

/// One logical model call.
#[derive(Debug, Clone)]
pub(super) struct ModelCall<'v> {
    pub(super) start_unix_nanos: i64,
    pub(super) end_unix_nanos: i64,
    /// Made below a tool span, by an agent used as a tool.
    pub(super) delegated: bool,
    pub(super) usage: Option<Usage>,
    /// The model asked for, else the one that answered.
    pub(super) model: Option<&'v str>,
    /// Id of the innermost span.
    pub(super) span_id: &'v str,
    pub(super) response_id: Option<&'v str>,
    pub(super) finish_reasons: &'v [Cow<'v, str>],
    pub(super) input: &'v [Message<'v>],
    pub(super) output: &'v [Message<'v>],
    pub(super) agent_name: Option<&'v str>,
}

/// Finds the model calls among the spans of a turn, sorted by (start, end).
pub(super) fn model_calls<'v>(analysis: &'v Analysis<'v>, members: &[u32]) -> Vec<ModelCall<'v>> {
    let is_call = |span: &u32| analysis.views[*span as usize].operation == Operation::Inference;
    let spans: Vec<u32> = members.iter().copied().filter(is_call).collect();
    let own: HashSet<u32> = spans.iter().copied().collect();
    let parent =
        |span: u32| analysis.places[span as usize].inference_parent.filter(|parent| own.contains(parent));
    // Members come depth first, so children stand behind their parents.
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
        // A chain starts where there is one leaf below and not also one below the parent.
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
    /// Reads a chain of spans, outermost first; the innermost span's word counts most.
    fn new(analysis: &'v Analysis<'v>, chain: &[u32]) -> Self {
        let views: Vec<&'v View<'v>> =
            chain.iter().rev().map(|span| &analysis.views[*span as usize]).collect();
        let spans = || chain.iter().map(|span| &analysis.trace.spans[*span as usize]);
        let messages = |of: fn(&'v View<'v>) -> &'v [Message<'v>]| {
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
            agent_name: agent_name.or_else(|| views.iter().find_map(|view| view.agent_name.as_deref())),
        }
    }

    /// The tool calls that the model requested, as (id, name).
    pub(super) fn requested_tools(&self) -> impl Iterator<Item = (Option<&'v str>, &'v str)> {
        self.output.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
            Part::ToolCall { id, name: Some(name), .. } => Some((id.as_deref(), &**name)),
            _ => None,
        })
    }

    /// The ids of the tool responses shown to the model.
    pub(super) fn answered_ids(&self) -> impl Iterator<Item = &'v str> {
        self.input.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
            Part::ToolResponse { id, .. } => id.as_deref(),
            _ => None,
        })
    }
}

/// A tool call known from spans.
#[derive(Debug, Clone)]
pub(super) struct SpanCall<'v> {
    pub(super) start_unix_nanos: i64,
    pub(super) end_unix_nanos: i64,
    /// Id of the outermost span, to order calls that start together.
    span_id: &'v str,
    name: Option<&'v str>,
    call_id: Option<&'v str>,
    arguments: Option<&'v Value<'v>>,
    result: Option<&'v Value<'v>>,
    failed: bool,
    span_name: &'v str,
}

/// Finds the tool calls among the spans of a turn, sorted by the start of the outermost span.
pub(super) fn span_calls<'v>(analysis: &'v Analysis<'v>, members: &[u32]) -> Vec<SpanCall<'v>> {
    let mut calls: Vec<SpanCall<'v>> = Vec::new();
    let mut call_of: HashMap<u32, usize> = HashMap::new();
    for span in members.iter().copied() {
        let view = &analysis.views[span as usize];
        if view.operation != Operation::Tool {
            continue;
        }
        let parent = analysis.places[span as usize].tool_parent;
        let enclosing = parent.filter(|parent| is_same_tool(&analysis.views[*parent as usize], view));
        match enclosing.and_then(|parent| call_of.get(&parent).copied()) {
            Some(call) => {
                calls[call].add_inner(view);
                call_of.insert(span, call);
            }
            None => {
                call_of.insert(span, calls.len());
                calls.push(SpanCall::new(analysis, span));
            }
        }
    }
    calls.sort_by(|a, b| (a.start_unix_nanos, a.span_id).cmp(&(b.start_unix_nanos, b.span_id)));
    calls
}

fn is_same_tool(outer: &View<'_>, inner: &View<'_>) -> bool {
    let same_name = inner.tool_name.is_some() && inner.tool_name == outer.tool_name;
    same_name || (inner.tool_call_id.is_some() && inner.tool_call_id == outer.tool_call_id)
}

impl<'v> SpanCall<'v> {
    fn new(analysis: &'v Analysis<'v>, span: u32) -> Self {
        let view = &analysis.views[span as usize];
        let span = &analysis.trace.spans[span as usize];
        Self {
            start_unix_nanos: span.start_unix_nanos,
            end_unix_nanos: span.end_unix_nanos,
            span_id: &span.id,
            name: view.tool_name.as_deref(),
            call_id: view.tool_call_id.as_deref(),
            arguments: view.tool_arguments.as_ref(),
            result: view.tool_result.as_ref(),
            failed: view.failed,
            span_name: &span.name,
        }
    }

    /// Fills what the spans outside did not say.
    fn add_inner(&mut self, view: &'v View<'v>) {
        self.name = self.name.or(view.tool_name.as_deref());
        self.call_id = self.call_id.or(view.tool_call_id.as_deref());
        self.arguments = self.arguments.or(view.tool_arguments.as_ref());
        self.result = self.result.or(view.tool_result.as_ref());
        self.failed |= view.failed;
    }

    fn into_tool_call(self, warnings: &mut Warnings) -> ToolCall {
        let name = self.name.unwrap_or_else(|| {
            let text = format!("span {} has no tool name; taken from its span name", self.span_id);
            warnings.push("tool_name_missing", text);
            let mut words = self.span_name.split_whitespace();
            match (words.next(), words.next()) {
                (Some("execute_tool"), Some(name)) => name,
                _ => self.span_name,
            }
        });
        let owned = |value: Option<&Value<'_>>| value.map(|value| value.clone().into_owned());
        ToolCall {
            id: self.call_id.map(str::to_owned),
            name: name.to_owned(),
            args: Args::observed(owned(self.arguments).unwrap_or_default()),
            result: owned(self.result),
            failed: self.failed,
        }
    }
}

/// A tool result that a model was shown.
struct Response<'v> {
    id: Option<&'v str>,
    name: Option<&'v str>,
    value: &'v Value<'v>,
    /// Index of the first call whose input shows it.
    shown_to: usize,
    claimed: bool,
}

/// A tool call known from messages.
struct PartCall<'v> {
    id: Option<&'v str>,
    name: &'v str,
    arguments: Value<'static>,
    result: Option<&'v Value<'v>>,
    claimed: bool,
}

/// The tool calls of a turn: those with spans, completed and joined by those known only from messages.
pub(super) fn tool_calls<'v>(
    calls: &[ModelCall<'v>],
    spans: Vec<SpanCall<'v>>,
    warnings: &mut Warnings,
) -> Vec<ToolCall> {
    let mut parts = part_calls(calls, warnings);
    if spans.is_empty() {
        return parts.into_iter().map(PartCall::into_tool_call).collect();
    }
    let claims = claim_parts(&spans, &mut parts);
    // Where each unclaimed part goes: behind the call requested before it. Slot 0 is the front.
    let mut slot_of_part = vec![0; parts.len()];
    for (slot, claim) in claims.iter().enumerate() {
        if let Some((part, _)) = claim {
            slot_of_part[*part] = slot + 1;
        }
    }
    let mut behind: Vec<Vec<usize>> = vec![Vec::new(); spans.len() + 1];
    for part in 0..parts.len() {
        if !parts[part].claimed {
            slot_of_part[part] = if part == 0 { 0 } else { slot_of_part[part - 1] };
            behind[slot_of_part[part]].push(part);
            let text =
                format!("tool {} appears only in message parts, without a tool span", parts[part].name);
            warnings.push("tool_from_parts_only", text);
        }
    }
    let mut parts: Vec<_> = parts.into_iter().map(Some).collect();
    let mut combined = Vec::with_capacity(parts.len().max(spans.len()));
    let take = |parts: &mut Vec<Option<PartCall<'v>>>, slot: usize| -> Vec<ToolCall> {
        behind[slot].iter().filter_map(|part| parts[*part].take()).map(PartCall::into_tool_call).collect()
    };
    combined.extend(take(&mut parts, 0));
    for (slot, (span, claim)) in spans.into_iter().zip(claims).enumerate() {
        let mut call = span.into_tool_call(warnings);
        if let Some((part, by_name)) = claim
            && let Some(part) = parts[part].take()
        {
            fill(&mut call, part, by_name, warnings);
        }
        combined.push(call);
        combined.extend(take(&mut parts, slot + 1));
    }
    combined
}

/// For each span call the part call it stands for, by id or else by name, and whether it was by name.
fn claim_parts(spans: &[SpanCall<'_>], parts: &mut [PartCall<'_>]) -> Vec<Option<(usize, bool)>> {
    let mut by_id: HashMap<&str, VecDeque<usize>> = HashMap::new();
    let mut by_name: HashMap<&str, VecDeque<usize>> = HashMap::new();
    for (index, part) in parts.iter().enumerate() {
        if let Some(id) = part.id {
            by_id.entry(id).or_default().push_back(index);
        }
        by_name.entry(part.name).or_default().push_back(index);
    }
    let mut claim = |queue: Option<&mut VecDeque<usize>>| {
        let queue = queue?;
        while let Some(index) = queue.pop_front() {
            if !std::mem::replace(&mut parts[index].claimed, true) {
                return Some(index);
            }
        }
        None
    };
    let mut claims = Vec::with_capacity(spans.len());
    for span in spans {
        let found = claim(span.call_id.and_then(|id| by_id.get_mut(id))).map(|part| (part, false));
        let by_name = || claim(span.name.and_then(|name| by_name.get_mut(name))).map(|part| (part, true));
        claims.push(found.or_else(by_name));
    }
    claims
}

/// Completes a span call from the part call it claimed.
fn fill(call: &mut ToolCall, part: PartCall<'_>, by_name: bool, warnings: &mut Warnings) {
    let lacks_arguments = call.args.value().is_empty() && !part.arguments.is_empty();
    let lacks_result = call.result.as_ref().is_none_or(Value::is_empty)
        && part.result.is_some_and(|result| !result.is_empty());
    if by_name && (lacks_arguments || lacks_result) {
        let text = format!(
            "tool {} arguments and result joined from message parts by name (call ids differ)",
            call.name
        );
        warnings.push("tool_data_by_name", text);
    }
    if lacks_arguments {
        call.args = Args::observed(part.arguments);
    }
    if lacks_result {
        call.result = part.result.map(|result| parsed_or_kept(result.borrowed()).into_owned());
    }
    if call.id.is_none() {
        call.id = part.id.map(str::to_owned);
    }
}

impl PartCall<'_> {
    fn into_tool_call(self) -> ToolCall {
        let result = self.result.map(|result| parsed_or_kept(result.borrowed()).into_owned());
        ToolCall {
            id: self.id.map(str::to_owned),
            name: self.name.to_owned(),
            args: Args::observed(self.arguments),
            result: result.filter(|result| !result.is_null()),
            failed: false,
        }
    }
}

/// The tool calls in the outputs of all calls, in order, each with the response it claimed.
fn part_calls<'v>(calls: &[ModelCall<'v>], warnings: &mut Warnings) -> Vec<PartCall<'v>> {
    let requested: HashSet<&str> =
        calls.iter().flat_map(ModelCall::requested_tools).filter_map(|(id, _)| id).collect();
    let mut responses = responses(calls);
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    // Responses that no request names, per tool name. Requests come in call order, so whatever was shown before
    // the current one is of no use to later ones either.
    let mut unnamed: HashMap<Option<&str>, VecDeque<usize>> = HashMap::new();
    for (index, response) in responses.iter().enumerate() {
        match response.id.filter(|id| requested.contains(id)) {
            Some(id) => drop(by_id.entry(id).or_insert(index)),
            None => unnamed.entry(response.name).or_default().push_back(index),
        }
    }
    let mut parts = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        for part in call.output.iter().flat_map(|message| &message.parts) {
            let Part::ToolCall { id, name: Some(name), arguments } = part else {
                continue;
            };
            let (id, name) = (id.as_deref(), &**name);
            let same_id = id.and_then(|id| by_id.get(id).copied());
            let same_id =
                same_id.filter(|index| !responses[*index].claimed && responses[*index].shown_to > at);
            let claimed = same_id.or_else(|| {
                let candidates = [Some(name), None].map(|key| {
                    let queue = unnamed.get_mut(&key)?;
                    while queue.front().is_some_and(|index| responses[*index].shown_to <= at) {
                        queue.pop_front();
                    }
                    queue.front().copied()
                });
                let first = candidates.into_iter().flatten().min()?;
                unnamed.get_mut(&responses[first].name)?.pop_front();
                if responses[first].id.is_some() {
                    let text = format!("result of tool {name} joined by order (call ids differ)");
                    warnings.push("tool_result_by_order", text);
                }
                Some(first)
            });
            if let Some(index) = claimed {
                responses[index].claimed = true;
            }
            let arguments = parsed_or_kept(arguments.borrowed()).into_owned();
            let result = claimed.map(|index| responses[index].value);
            parts.push(PartCall { id, name, arguments, result, claimed: false });
        }
    }
    parts
}

/// The tool responses shown to the model, each where it is first seen.
fn responses<'v>(calls: &[ModelCall<'v>]) -> Vec<Response<'v>> {
    let mut seen_ids: HashSet<&str> = HashSet::new();
    let mut seen_values: HashSet<(Option<&str>, String)> = HashSet::new();
    let mut responses = Vec::new();
    for (shown_to, call) in calls.iter().enumerate() {
        for part in call.input.iter().flat_map(|message| &message.parts) {
            let Part::ToolResponse { id, name, response } = part else {
                continue;
            };
            let (id, name) = (id.as_deref(), name.as_deref());
            let is_new = match id {
                Some(id) => seen_ids.insert(id),
                None => seen_values.insert((name, response.to_json_text())),
            };
            if is_new {
                responses.push(Response { id, name, value: response, shown_to, claimed: false });
            }
        }
    }
    responses
}
