//! The metrics known by name, including those that this program cannot compute.

use super::efficiency::Efficiency;
use crate::json::checked::did_you_mean;

/// A metric that this program computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// `tool_trajectory_avg_score`
    Trajectory,
    /// `response_match_score`
    ResponseMatch,
    /// One of the four efficiency metrics.
    Efficiency(Efficiency),
}

impl Builtin {
    /// Whether the metric passes or fails by a threshold; efficiency metrics are only reported.
    pub fn takes_threshold(self) -> bool {
        !matches!(self, Self::Efficiency(_))
    }

    /// The threshold when none is given. Of tool calls every turn has to match, where the reference is content with half.
    pub fn default_threshold(self, lenient: bool) -> f64 {
        match self {
            Self::Trajectory if !lenient => 1.0,
            _ => DEFAULT_THRESHOLD,
        }
    }
}

/// Default threshold of other metrics, as in the reference.
pub const DEFAULT_THRESHOLD: f64 = 0.5;

/// The metric that is computed when no evaluator is named.
pub const DEFAULT_METRIC: &str = "tool_trajectory_avg_score";

/// A metric known by name.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// The aspect of behaviour that it measures.
    pub category: &'static str,
    /// Whether it compares with a golden.
    pub needs_eval_set: bool,
    /// Whether it judges by rubrics from the configuration.
    pub needs_rubrics: bool,
    /// One sentence on its meaning and range.
    pub about: &'static str,
    entry: Entry,
}

impl Description {
    /// Whether it needs a judge model.
    pub fn needs_judge(&self) -> bool {
        matches!(self.entry, Entry::NeedsJudge)
    }

    /// Whether it needs the Vertex evaluation service.
    pub fn needs_cloud(&self) -> bool {
        matches!(self.entry, Entry::NeedsCloud)
    }

    /// Whether this program can compute it.
    pub fn is_working(&self) -> bool {
        matches!(self.entry, Entry::Runs(_))
    }
}

/// The way in which a metric is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Runs(Builtin),
    NeedsJudge,
    NeedsCloud,
    JudgesSimulator,
}

/// A row of the catalog.
const fn entry(name: &'static str, category: &'static str, entry: Entry, about: &'static str) -> Description {
    Description { name, category, needs_eval_set: false, needs_rubrics: false, about, entry }
}

/// The description of a metric that compares with a golden.
const fn with_golden(description: Description) -> Description {
    Description { needs_eval_set: true, ..description }
}

/// The description of a metric that judges by rubrics.
const fn with_rubrics(description: Description) -> Description {
    Description { needs_rubrics: true, ..description }
}

/// The metrics of the reference, in its order; names, categories and needs are google-adk's (2.13).
const CATALOG: [Description; 17] = [
    with_golden(entry(
        "tool_trajectory_avg_score",
        "trajectory",
        Entry::Runs(Builtin::Trajectory),
        "Share of turns in which the agent called the expected tools with the expected arguments; how order and \
         arguments are compared can be set. 0 to 1, higher is better.",
    )),
    with_golden(entry(
        "response_evaluation_score",
        "response",
        Entry::NeedsCloud,
        "How coherent the agent's responses are. 1 to 5, higher is better.",
    )),
    with_golden(entry(
        "response_match_score",
        "response",
        Entry::Runs(Builtin::ResponseMatch),
        "How many words the final response shares with the expected one: the F-measure of ROUGE-1. 0 to 1, higher \
         is better.",
    )),
    entry(
        "safety_v1",
        "safety",
        Entry::NeedsCloud,
        "How harmless the agent's responses are. 0 to 1, higher is better.",
    ),
    entry(
        "multi_turn_task_success_v1",
        "multi-turn",
        Entry::NeedsCloud,
        "Whether the agent reached the goals of the conversation. 0 to 1, higher is better.",
    ),
    entry(
        "multi_turn_trajectory_quality_v1",
        "multi-turn",
        Entry::NeedsCloud,
        "How good the agent's way through the conversation was, whether or not it led to the goal. 0 to 1, higher is \
         better.",
    ),
    entry(
        "multi_turn_tool_use_quality_v1",
        "multi-turn",
        Entry::NeedsCloud,
        "How good the tool calls of the conversation were. 0 to 1, higher is better.",
    ),
    with_golden(entry(
        "final_response_match_v2",
        "response",
        Entry::NeedsJudge,
        "Whether a judge model finds the final response to say the same as the expected one. 0 to 1, higher is \
         better.",
    )),
    with_rubrics(entry(
        "rubric_based_final_response_quality_v1",
        "quality",
        Entry::NeedsJudge,
        "How far the final response fulfils rubrics, by a judge model. 0 to 1, higher is better.",
    )),
    entry(
        "hallucinations_v1",
        "safety",
        Entry::NeedsJudge,
        "How free the response is of false, contradictory and unsupported claims, by a judge model. 0 to 1, higher \
         is better.",
    ),
    with_rubrics(entry(
        "rubric_based_tool_use_quality_v1",
        "quality",
        Entry::NeedsJudge,
        "How far the use of tools fulfils rubrics, by a judge model. 0 to 1, higher is better.",
    )),
    with_rubrics(entry(
        "rubric_based_multi_turn_trajectory_quality_v1",
        "multi-turn",
        Entry::NeedsJudge,
        "How far the way through the conversation fulfils rubrics, by a judge model. 0 to 1, higher is better.",
    )),
    entry(
        "tool_call_count_v1",
        "other",
        Entry::Runs(Builtin::Efficiency(Efficiency::ToolCalls)),
        "Tool calls per turn. A number to watch; it neither passes nor fails.",
    ),
    entry(
        "inference_call_count_v1",
        "other",
        Entry::Runs(Builtin::Efficiency(Efficiency::ModelCalls)),
        "Model calls per turn. A number to watch; it neither passes nor fails.",
    ),
    entry(
        "token_usage_v1",
        "other",
        Entry::Runs(Builtin::Efficiency(Efficiency::Tokens)),
        "Tokens per turn, in and out together. A number to watch; it neither passes nor fails.",
    ),
    entry(
        "invocation_duration_v1",
        "other",
        Entry::Runs(Builtin::Efficiency(Efficiency::Duration)),
        "Seconds per turn, with the shares of model and tools. A number to watch; it neither passes nor fails.",
    ),
    entry(
        "per_turn_user_simulator_quality_v1",
        "other",
        Entry::JudgesSimulator,
        "How well a simulated user keeps to its script.",
    ),
];

/// The metrics for recorded traces, including those that this program cannot compute.
pub fn descriptions() -> impl Iterator<Item = &'static Description> {
    CATALOG.iter().filter(|description| description.entry != Entry::JudgesSimulator)
}

/// Looks a built-in metric up by name.
///
/// # Errors
/// A message: why the metric cannot be computed, or that the name is unknown, with the nearest known one.
pub fn find(name: &str) -> Result<Builtin, String> {
    let refused = |why: &str| Err(format!("metric `{name}` {why}"));
    match CATALOG.iter().find(|known| known.name == name).map(|known| known.entry) {
        Some(Entry::Runs(builtin)) => Ok(builtin),
        Some(Entry::NeedsJudge) => refused(
            "needs a judge model, which this version cannot call yet; leave it out or use a code evaluator",
        ),
        Some(Entry::NeedsCloud) => refused(
            "needs the Vertex evaluation service, which this version cannot call; leave it out or use a code \
             evaluator",
        ),
        Some(Entry::JudgesSimulator) => {
            refused("judges a simulated user, but recorded traces have a real one; leave it out")
        }
        None => {
            let hint = did_you_mean(name, CATALOG.iter().map(|known| known.name));
            let names: Vec<_> =
                CATALOG.iter().filter(|known| known.is_working()).map(|known| known.name).collect();
            let hint = if hint.is_empty() { format!("; known: {}", names.join(", ")) } else { hint };
            Err(format!("unknown metric `{name}`{hint}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_gets_a_suggestion() {
        let error = find("tool_trajectry_avg_score").unwrap_err();
        assert_eq!(
            error,
            "unknown metric `tool_trajectry_avg_score`; did you mean `tool_trajectory_avg_score`?"
        );
        assert!(find("hallucinations_v1").unwrap_err().contains("judge model"));
    }
}
