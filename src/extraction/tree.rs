//! The place of each span: the turn, model call, tool call and agent that it belongs to.

use super::overlay::{Operation, View};
use crate::trace::{LogRecord, Trace, Warnings};

/// A trace with the view of each span and its place in the turn structure.
pub(super) struct Analysis<'t> {
    pub(super) trace: &'t Trace<'t>,
    /// By span index.
    pub(super) views: Vec<View<'t>>,
    /// By span index.
    pub(super) places: Vec<SpanPlace>,
    /// Span indexes, depth first, roots and children by start.
    pub(super) order: Vec<u32>,
    /// The warnings of the trace, and those about log records that could not be placed.
    pub(super) warnings: Warnings,
}

/// The place of a span among the agents, model calls and tools around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpanPlace {
    /// Anchor of the span's turn: the outermost agent or workflow around it that is not inside a tool; else its root.
    pub(super) owner: u32,
    /// Nearest enclosing model call, not looking past agents, workflows and tools.
    pub(super) inference_parent: Option<u32>,
    /// Nearest enclosing tool span, not looking past agents, workflows and model calls.
    pub(super) tool_parent: Option<u32>,
    /// Whether any tool span encloses it.
    pub(super) under_tool: bool,
    /// Nearest enclosing agentic span that has an agent name, itself included.
    pub(super) agent: Option<u32>,
}

/// The facts that a span passes down to its children.
#[derive(Debug, Clone, Copy)]
struct Inherited {
    place: SpanPlace,
    /// Below an agent, workflow or tool span.
    covered: bool,
}

impl<'t> Analysis<'t> {
    /// Views every span and walks the tree.
    pub(super) fn new(trace: &'t Trace<'t>) -> Self {
        let logs_of = |index: usize| trace.logs[index].iter().collect::<Vec<_>>();
        let mut views: Vec<_> =
            trace.spans.iter().zip(0..).map(|(span, index)| View::new(span, logs_of(index))).collect();
        let mut warnings = trace.warnings.clone();
        join_orphan_logs(trace, &mut views, &mut warnings);
        for (span, view) in trace.spans.iter().zip(&views) {
            for (key, fault) in &view.unreadable {
                warnings.push("messages_not_readable", format!("{key} of span {} {fault}", span.id));
            }
        }
        let (places, order) = walk(trace, &views);
        Self { trace, views, places, order, warnings }
    }

    /// Whether the span anchors a turn of its own: an agent or workflow that is not inside another one or a tool.
    pub(super) fn is_agentic_anchor(&self, span: u32) -> bool {
        self.views[span as usize].operation.is_agentic() && self.places[span as usize].owner == span
    }
}

/// Gives log records without a span id to the trace's model call if there is exactly one, else warns about them.
fn join_orphan_logs<'t>(trace: &'t Trace<'t>, views: &mut [View<'t>], warnings: &mut Warnings) {
    let (unknown, unnamed): (Vec<&LogRecord<'_>>, Vec<_>) =
        trace.orphan_logs.iter().partition(|log| log.has_span_id);
    if !unknown.is_empty() {
        let text = format!("{} log records name spans that were not read; they are not used", unknown.len());
        warnings.push("logs_unknown_span", text);
    }
    if unnamed.is_empty() {
        return;
    }
    let inference: Vec<_> =
        (0..views.len()).filter(|index| views[*index].operation == Operation::Inference).collect();
    match inference[..] {
        [only] => {
            views[only] = View::new(&trace.spans[only], trace.logs[only].iter().chain(unnamed).collect())
        }
        _ => {
            let (logs, calls) = (unnamed.len(), inference.len());
            let text = format!(
                "{logs} log records name no span and the trace has {calls} model calls; they are not used"
            );
            warnings.push("logs_ambiguous", text);
        }
    }
}

/// Walks the tree depth first; with a stack of its own, since recorded trees may be deeper than ours.
fn walk(trace: &Trace<'_>, views: &[View<'_>]) -> (Vec<SpanPlace>, Vec<u32>) {
    let nowhere =
        SpanPlace { owner: 0, inference_parent: None, tool_parent: None, under_tool: false, agent: None };
    let mut places = vec![nowhere; views.len()];
    let mut order = Vec::with_capacity(views.len());
    let at_root = |root: u32| Inherited { place: SpanPlace { owner: root, ..nowhere }, covered: false };
    let mut stack: Vec<_> = trace.roots.iter().rev().map(|root| (*root, at_root(*root))).collect();
    while let Some((span, Inherited { mut place, covered })) = stack.pop() {
        let view = &views[span as usize];
        if view.operation.is_agentic() && !covered {
            place.owner = span;
        }
        if view.operation.is_agentic() && view.agent_name.is_some() {
            place.agent = Some(span);
        }
        places[span as usize] = place;
        order.push(span);
        let below = below(span, view.operation, place, covered);
        stack.extend(trace.children[span as usize].iter().rev().map(|child| (*child, below)));
    }
    (places, order)
}

/// The context of the children of a span.
fn below(span: u32, operation: Operation, place: SpanPlace, covered: bool) -> Inherited {
    let mut place = place;
    match operation {
        Operation::Inference => {
            place.inference_parent = Some(span);
            place.tool_parent = None;
        }
        Operation::Tool => {
            place.inference_parent = None;
            place.tool_parent = Some(span);
            place.under_tool = true;
        }
        Operation::Agent | Operation::Workflow => {
            place.inference_parent = None;
            place.tool_parent = None;
        }
        Operation::Other => {}
    }
    Inherited { place, covered: covered || operation.is_agentic() || operation == Operation::Tool }
}
