//! Logical tool calls of a turn.
//!
//! A call may leave several spans (the framework's, its MCP client's), and it may appear in messages: the request in
//! the output of one model call, the result in the input of a later one.

use std::collections::{HashMap, HashSet, VecDeque};

use super::messages::{MessagePart, parsed_or_kept};
use super::model_calls::ModelCall;
use super::overlay::{Operation, View};
use super::tree::Analysis;
use crate::invocation::{Args, ToolCall};
use crate::json::Value;
use crate::trace::{SpanStatus, Warnings};

/// A tool call known from spans.
#[derive(Debug, Clone)]
pub(super) struct SpanCall<'v> {
    pub(super) start_unix_nanos: i64,
    pub(super) end_unix_nanos: i64,
    /// Id of the outermost span; orders calls that start together.
    span_id: &'v str,
    /// Name of the outermost span; used when no span names the tool.
    span_name: &'v str,
    /// The tool's name, if a span gives one.
    given_name: Option<&'v str>,
    call_id: Option<&'v str>,
    arguments: Option<&'v Value<'v>>,
    result: Option<&'v Value<'v>>,
    /// The status of the outermost span that has one.
    status: SpanStatus,
    has_error_type: bool,
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
                calls[call].add_inner(analysis, span);
                call_of.insert(span, call);
            }
            None => {
                call_of.insert(span, calls.len());
                calls.push(SpanCall::new(analysis, span));
            }
        }
    }
    sort_by_start(&mut calls);
    calls
}

/// Sorts calls by the start of the outermost span.
pub(super) fn sort_by_start(calls: &mut [SpanCall<'_>]) {
    calls.sort_by(|a, b| (a.start_unix_nanos, a.span_id).cmp(&(b.start_unix_nanos, b.span_id)));
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
            span_name: &span.name,
            given_name: view.tool_name.as_deref(),
            call_id: view.tool_call_id.as_deref(),
            arguments: view.tool_arguments.as_ref(),
            result: view.tool_result.as_ref(),
            status: span.status,
            has_error_type: view.has_error_type,
        }
    }

    /// Takes from an inner span the facts that the outer spans lack.
    fn add_inner(&mut self, analysis: &'v Analysis<'v>, span: u32) {
        let view = &analysis.views[span as usize];
        self.given_name = self.given_name.or(view.tool_name.as_deref());
        self.call_id = self.call_id.or(view.tool_call_id.as_deref());
        self.arguments = self.arguments.or(view.tool_arguments.as_ref());
        self.result = self.result.or(view.tool_result.as_ref());
        if self.status == SpanStatus::Unset {
            self.status = analysis.trace.spans[span as usize].status;
        }
        self.has_error_type |= view.has_error_type;
    }

    /// The tool's name, if need be from the span's name, which the conventions define as `execute_tool NAME`.
    fn name(&self) -> &'v str {
        self.given_name.unwrap_or_else(|| {
            let mut words = self.span_name.split_whitespace();
            match (words.next(), words.next()) {
                (Some("execute_tool"), Some(name)) => name,
                _ => self.span_name,
            }
        })
    }

    /// Makes the call, completed from the part call that it claimed; the flag says that it was claimed by name.
    fn into_tool_call(self, claim: Option<(PartCall<'v>, bool)>, warnings: &mut Warnings) -> ToolCall {
        let name = self.name();
        if self.given_name.is_none() {
            let text = format!("span {} has no tool name; taken from its span name", self.span_id);
            warnings.push("tool_name_missing", text);
        }
        let (mut id, mut arguments, mut result) =
            (self.call_id, self.arguments.cloned(), self.result.cloned());
        if let Some((part, by_name)) = claim {
            let lacks = |own: &Option<Value<'_>>| own.as_ref().is_none_or(Value::is_empty);
            let (offered, answered) = (part.arguments, part.result.cloned().map(parsed_or_kept));
            let fill_arguments = lacks(&arguments) && !offered.is_empty();
            // The message says that there are none, which the span alone does not.
            let arguments_are_none = arguments.is_none() && offered.is_empty();
            let fill_result = lacks(&result) && !lacks(&answered);
            if by_name && (fill_arguments || fill_result) {
                let joined = match (fill_arguments, fill_result) {
                    (true, true) => "arguments and result",
                    (true, false) => "arguments",
                    (false, _) => "result",
                };
                let text =
                    format!("tool {name} {joined} joined from message parts by name (call ids differ)");
                warnings.push("tool_data_by_name", text);
            }
            arguments = if fill_arguments || arguments_are_none { Some(offered) } else { arguments };
            result = if fill_result { answered } else { result };
            id = id.or(part.id);
        }
        if arguments.is_none() {
            let text = format!("tool {name} of span {} has no recorded arguments", self.span_id);
            warnings.push("tool_arguments_missing", text);
        }
        ToolCall {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            args: arguments.map_or(Args::Unrecorded, |arguments| Args::observed(arguments.into_owned())),
            result: result.map(Value::into_owned),
            failed: self.status == SpanStatus::Error || self.has_error_type,
        }
    }
}

/// A tool result that was given to a model.
struct Response<'v> {
    id: Option<&'v str>,
    name: Option<&'v str>,
    value: &'v Value<'v>,
    /// Index of the first model call with it in its input.
    shown_to: usize,
    claimed: bool,
}

/// A tool call known from messages.
struct PartCall<'v> {
    id: Option<&'v str>,
    name: &'v str,
    arguments: Value<'v>,
    result: Option<&'v Value<'v>>,
    claimed: bool,
}

/// The tool calls of a turn: those with spans, completed from messages, and those known only from messages.
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
    // An unclaimed part goes behind the call that was requested before it. Slot 0 is the front, slot n + 1 comes after
    // span call n.
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
        let claim = claim.and_then(|(part, by_name)| Some((parts[part].take()?, by_name)));
        combined.push(span.into_tool_call(claim, warnings));
        combined.extend(take(&mut parts, slot + 1));
    }
    combined
}

/// For each span call the part call about the same call, by id or else by name, and whether it was found by name.
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
        let by_name = || claim(by_name.get_mut(span.name())).map(|part| (part, true));
        claims.push(found.or_else(by_name));
    }
    claims
}

impl PartCall<'_> {
    fn into_tool_call(self) -> ToolCall {
        let result = self.result.map(|result| parsed_or_kept(result.borrowed()).into_owned());
        ToolCall {
            id: self.id.map(str::to_owned),
            name: self.name.to_owned(),
            args: Args::observed(self.arguments.into_owned()),
            result: result.filter(|result| !result.is_null()),
            failed: false,
        }
    }
}

/// The tool calls in the outputs of all model calls, in order, each with its response.
fn part_calls<'v>(calls: &[ModelCall<'v>], warnings: &mut Warnings) -> Vec<PartCall<'v>> {
    let mut responses = Responses::new(calls);
    let mut parts = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        for part in call.output.iter().flat_map(|message| &message.parts) {
            let MessagePart::ToolCall { id, name: Some(name), arguments } = part else {
                continue;
            };
            let (id, name) = (id.as_deref(), &**name);
            let result = responses.claim(id, name, at, warnings);
            let arguments = parsed_or_kept(arguments.borrowed());
            parts.push(PartCall { id, name, arguments, result, claimed: false });
        }
    }
    parts
}

/// The tool responses of a turn, as part calls claim them.
struct Responses<'v> {
    all: Vec<Response<'v>>,
    /// The responses to requests with an id.
    by_id: HashMap<&'v str, usize>,
    /// The other responses in order, by the name of the tool, if they have one.
    others: HashMap<Option<&'v str>, VecDeque<usize>>,
}

impl<'v> Responses<'v> {
    fn new(calls: &[ModelCall<'v>]) -> Self {
        let requested: HashSet<&str> =
            calls.iter().flat_map(ModelCall::requested_tools).filter_map(|(id, _)| id).collect();
        let all = shown_responses(calls);
        let mut by_id = HashMap::new();
        let mut others: HashMap<_, VecDeque<usize>> = HashMap::new();
        for (index, response) in all.iter().enumerate() {
            match response.id.filter(|id| requested.contains(id)) {
                Some(id) => drop(by_id.entry(id).or_insert(index)),
                None => others.entry(response.name).or_default().push_back(index),
            }
        }
        Self { all, by_id, others }
    }

    /// The result of a tool call that the model call at index `at` requested: by id, else the next one in order.
    fn claim(
        &mut self,
        id: Option<&str>,
        name: &'v str,
        at: usize,
        warnings: &mut Warnings,
    ) -> Option<&'v Value<'v>> {
        let index = match self.with_id(id, at) {
            Some(index) => index,
            None => {
                let index = self.next_in_order(name, at)?;
                if self.all[index].id.is_some() {
                    let text = format!("result of tool {name} joined by order (call ids differ)");
                    warnings.push("tool_result_by_order", text);
                }
                index
            }
        };
        self.all[index].claimed = true;
        Some(self.all[index].value)
    }

    fn with_id(&self, id: Option<&str>, at: usize) -> Option<usize> {
        let index = *self.by_id.get(id?)?;
        let response = &self.all[index];
        (!response.claimed && response.shown_to > at).then_some(index)
    }

    /// Takes the first response of this tool, or of an unnamed one, that was shown after the model call at index `at`.
    fn next_in_order(&mut self, name: &'v str, at: usize) -> Option<usize> {
        let mut first = None;
        for key in [Some(name), None] {
            let Some(queue) = self.others.get_mut(&key) else { continue };
            // Requests come in the order of the calls, so a response shown this early is of no use to later ones.
            while queue.front().is_some_and(|index| self.all[*index].shown_to <= at) {
                queue.pop_front();
            }
            first = first.into_iter().chain(queue.front().copied()).min();
        }
        self.others.get_mut(&self.all[first?].name)?.pop_front()
    }
}

/// The tool responses in the inputs of all model calls, each at its first occurrence.
fn shown_responses<'v>(calls: &[ModelCall<'v>]) -> Vec<Response<'v>> {
    let mut seen_ids: HashSet<&str> = HashSet::new();
    let mut seen_values: HashSet<(Option<&str>, String)> = HashSet::new();
    let mut responses = Vec::new();
    for (shown_to, call) in calls.iter().enumerate() {
        for part in call.input.iter().flat_map(|message| &message.parts) {
            let MessagePart::ToolResponse { id, name, response } = part else {
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
