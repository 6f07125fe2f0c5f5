//! The results, warnings and verdict of an evaluation. Members of the reference keep their names and shapes.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::plan::{Plan, Unmatched};
use super::units::{Selected, Unit};
use crate::eval_set::{CaseMatch, EvalSet};
use crate::extraction::Conversation;
use crate::extraction::performance::{Performance, RunPerformance};
use crate::metrics::{EvalStatus, MetricResult};
use crate::trace::{Warning, Warnings};

/// The judgement on the agents' behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing failed, and unless lenient nothing was left out.
    Passed,
    /// A metric did not pass, or unless lenient a metric or an eval case was left out.
    Failed,
    /// Something could not be evaluated: an input was unreadable, a metric errored, nothing had a score.
    Errored,
}

impl Verdict {
    /// The names used in results and in SQL.
    pub const NAMES: [(&'static str, Self); 3] =
        [("passed", Self::Passed), ("failed", Self::Failed), ("errored", Self::Errored)];
}

/// The place of a turn in the traces.
#[derive(Debug, Clone, Serialize)]
pub struct TurnRef {
    /// Trace id.
    pub trace_id: String,
    /// Anchor span id.
    pub span_id: String,
    /// The span that evaluation results are attached to.
    #[serde(skip)]
    pub evaluated_span_id: String,
    /// Response id of the last model call.
    #[serde(skip)]
    pub response_id: Option<String>,
}

/// The results of one evaluation unit: a trace, or the traces of a conversation.
#[derive(Debug, Clone, Serialize)]
pub struct UnitReport {
    /// Id of the unit's first trace.
    pub trace_id: String,
    /// Number of turns.
    pub num_invocations: usize,
    /// The texts of `warnings`, sorted, as the reference lists them.
    pub conversion_warnings: Vec<String>,
    /// Data that was lost, mended or guessed while reading and extracting, with stable codes.
    pub warnings: Vec<Warning>,
    /// One result per metric, in the order configured.
    pub metrics: Vec<MetricResult>,
    /// Latency, tokens and counts.
    pub performance_metrics: Option<Performance>,
    /// Name of the service that sent the traces.
    pub service_name: Option<String>,
    /// Agent of the first turn that names one.
    pub agent_name: Option<String>,
    /// Ids of all traces of the unit, by start.
    pub trace_ids: Vec<String>,
    /// Conversation id found in the traces.
    pub conversation_id: Option<String>,
    /// The key by which the traces were grouped.
    pub group_key: String,
    /// Id of the eval case that the unit was compared with.
    pub eval_case_id: Option<String>,
    /// How that case was found.
    pub eval_case_match: Option<CaseMatch>,
    /// The place of each turn in the traces.
    pub turn_refs: Vec<TurnRef>,
}

impl UnitReport {
    pub(super) fn new(unit: &Unit<'_>, conversation: &Conversation, selected: &Selected<'_>) -> Self {
        let mut warnings = conversation.warnings.clone();
        warnings.extend(match_warnings(conversation, selected));
        let mut texts: Vec<_> = warnings.iter().map(|warning| warning.text.clone()).collect();
        texts.sort();
        let trace_ids: Vec<_> = unit.traces.iter().map(|trace| trace.id.to_string()).collect();
        let turn = |turn: &crate::invocation::Invocation| TurnRef {
            trace_id: turn.trace_id.clone(),
            span_id: turn.span_id.clone(),
            evaluated_span_id: turn.evaluated_span_id.clone(),
            response_id: turn.response_id.clone(),
        };
        let selected = selected.as_ref().ok();
        Self {
            trace_id: trace_ids.first().cloned().unwrap_or_default(),
            num_invocations: conversation.invocations.len(),
            conversion_warnings: texts,
            warnings,
            metrics: Vec::new(),
            performance_metrics: Some(conversation.performance.clone()),
            service_name: conversation.service_name.clone(),
            agent_name: conversation.agent_name.clone(),
            trace_ids,
            conversation_id: conversation.conversation_id.clone(),
            group_key: unit.key.0.clone(),
            eval_case_id: selected.map(|(case, _)| case.id.clone()),
            eval_case_match: selected.map(|(_, how)| *how),
            turn_refs: conversation.invocations.iter().map(turn).collect(),
        }
    }

    /// The same with only the metric at this index, if there is one.
    pub fn with_only(&self, metric: usize) -> Self {
        Self {
            trace_id: self.trace_id.clone(),
            num_invocations: self.num_invocations,
            conversion_warnings: self.conversion_warnings.clone(),
            warnings: self.warnings.clone(),
            metrics: self.metrics.get(metric).cloned().into_iter().collect(),
            performance_metrics: self.performance_metrics.clone(),
            service_name: self.service_name.clone(),
            agent_name: self.agent_name.clone(),
            trace_ids: self.trace_ids.clone(),
            conversation_id: self.conversation_id.clone(),
            group_key: self.group_key.clone(),
            eval_case_id: self.eval_case_id.clone(),
            eval_case_match: self.eval_case_match,
            turn_refs: self.turn_refs.clone(),
        }
    }
}

/// The warnings about the way in which a unit was matched with its case.
fn match_warnings(conversation: &Conversation, selected: &Selected<'_>) -> Vec<Warning> {
    let mut warnings = Warnings::default();
    let first = conversation.invocations.first().and_then(|turn| turn.user_text.as_deref());
    if let (Ok((case, CaseMatch::SingleCase)), Some(first)) = (selected, first) {
        let text = format!(
            "matched with `{}` only because there is one case and one conversation; their first user texts \
             differ: {first:?} is not {:?}",
            case.id,
            case.conversation[0].user_text()
        );
        warnings.push("case_text_differs", text);
    }
    warnings.to_vec()
}

/// The results of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The judgement on the whole run.
    pub verdict: Verdict,
    /// One entry per evaluation unit, in the order in which the units were first seen.
    pub traces: Vec<UnitReport>,
    /// Inputs, or parts of inputs, that could not be read.
    pub errors: Vec<String>,
    /// Defects of the input that belong to no unit.
    pub warnings: Vec<Warning>,
    /// Ids of the eval cases that could have been matched and were not.
    pub unmatched_eval_cases: Vec<String>,
    /// Sums over all units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance_metrics: Option<RunPerformance>,
    /// Whether the verdict is the reference's, in which metrics without a score do not fail.
    pub lenient: bool,
    /// Whether conversations that match no eval case are passed over in the verdict.
    #[serde(skip)]
    ignores_unmatched: bool,
}

impl Report {
    pub(super) fn new(
        traces: Vec<UnitReport>,
        eval_set: Option<&EvalSet>,
        performance_metrics: Option<RunPerformance>,
        plan: &Plan,
    ) -> Self {
        let matched: HashSet<_> = traces.iter().filter_map(|unit| unit.eval_case_id.as_deref()).collect();
        let cases = eval_set.into_iter().flat_map(EvalSet::candidates);
        let unmatched = cases.map(|case| case.id.clone()).filter(|id| !matched.contains(&**id)).collect();
        let (errors, warnings) = (Vec::new(), Vec::new());
        let mut report = Self {
            verdict: Verdict::Errored,
            traces,
            errors,
            warnings,
            unmatched_eval_cases: unmatched,
            performance_metrics,
            lenient: plan.lenient,
            ignores_unmatched: eval_set.is_some() && plan.unmatched == Unmatched::Ignore,
        };
        report.verdict = report.judge();
        report
    }

    /// Adds the faults and warnings from reading the traces, and judges anew.
    pub fn add_reading(&mut self, errors: Vec<String>, warnings: Vec<Warning>) {
        self.errors.extend(errors);
        self.warnings.extend(warnings);
        self.verdict = self.judge();
    }

    fn judge(&self) -> Verdict {
        let metrics = || self.traces.iter().flat_map(|unit| &unit.metrics);
        let nothing_evaluated = metrics().all(|metric| metric.score.is_none());
        let has_error = metrics().any(|metric| metric.error.is_some());
        if !self.errors.is_empty() || has_error || (nothing_evaluated && !self.lenient) {
            return Verdict::Errored;
        }
        let has_failed = metrics().any(|metric| metric.eval_status == EvalStatus::Failed);
        let counts = |unit: &&UnitReport| unit.eval_case_id.is_some() || !self.ignores_unmatched;
        let mut counted = self.traces.iter().filter(counts).flat_map(|unit| &unit.metrics);
        let not_evaluated = counted.any(|metric| metric.eval_status == EvalStatus::NotEvaluated)
            || !self.unmatched_eval_cases.is_empty();
        if has_failed || (not_evaluated && !self.lenient) {
            return Verdict::Failed;
        }
        Verdict::Passed
    }
}
