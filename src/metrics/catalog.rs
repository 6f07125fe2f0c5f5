//! The metrics known by name, those that do not run here included.

use super::efficiency::Efficiency;
use crate::json::checked::did_you_mean;

/// A metric that runs here.
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
    /// Whether the metric passes or fails by a threshold.
    pub fn takes_threshold(self) -> bool {
        !matches!(self, Self::Efficiency(_))
    }
}

/// Threshold of a metric when none is given, as in the reference.
pub const DEFAULT_THRESHOLD: f64 = 0.5;

/// The metric that is computed when none is named.
pub const DEFAULT_METRIC: &str = "tool_trajectory_avg_score";

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Runs(Builtin),
    NeedsJudge,
    NeedsCloud,
    JudgesSimulator,
}

const CATALOG: [(&str, Entry); 17] = [
    ("tool_trajectory_avg_score", Entry::Runs(Builtin::Trajectory)),
    ("response_evaluation_score", Entry::NeedsCloud),
    ("response_match_score", Entry::Runs(Builtin::ResponseMatch)),
    ("safety_v1", Entry::NeedsCloud),
    ("multi_turn_task_success_v1", Entry::NeedsCloud),
    ("multi_turn_trajectory_quality_v1", Entry::NeedsCloud),
    ("multi_turn_tool_use_quality_v1", Entry::NeedsCloud),
    ("final_response_match_v2", Entry::NeedsJudge),
    ("rubric_based_final_response_quality_v1", Entry::NeedsJudge),
    ("hallucinations_v1", Entry::NeedsJudge),
    ("rubric_based_tool_use_quality_v1", Entry::NeedsJudge),
    ("rubric_based_multi_turn_trajectory_quality_v1", Entry::NeedsJudge),
    ("tool_call_count_v1", Entry::Runs(Builtin::Efficiency(Efficiency::ToolCalls))),
    ("inference_call_count_v1", Entry::Runs(Builtin::Efficiency(Efficiency::ModelCalls))),
    ("token_usage_v1", Entry::Runs(Builtin::Efficiency(Efficiency::Tokens))),
    ("invocation_duration_v1", Entry::Runs(Builtin::Efficiency(Efficiency::Duration))),
    ("per_turn_user_simulator_quality_v1", Entry::JudgesSimulator),
];

/// Looks a built-in metric up by name.
///
/// # Errors
/// Says why the metric cannot be computed, or which name may have been meant.
pub fn find(name: &str) -> Result<Builtin, String> {
    let refused = |why: &str| Err(format!("metric `{name}` {why}"));
    match CATALOG.iter().find(|(known, _)| *known == name).map(|(_, entry)| *entry) {
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
            let hint = did_you_mean(name, CATALOG.iter().map(|(known, _)| *known));
            let names = CATALOG.iter().filter(|(_, entry)| matches!(entry, Entry::Runs(_)));
            let names: Vec<_> = names.map(|(name, _)| *name).collect();
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
