//! The plan of an evaluation: its metrics, and how traces are grouped for them.

use std::sync::Arc;

use super::units::GroupBy;
use crate::json::Value;
use crate::metrics::catalog::Builtin;
use crate::metrics::custom::CustomEvaluator;
use crate::metrics::trajectory::TrajectoryOptions;

/// The metrics to compute, and how traces are grouped and scored for them.
#[derive(Clone)]
pub struct Plan {
    /// The metrics, in the order of the results.
    pub evaluators: Vec<Evaluator>,
    /// How traces are grouped into evaluation units.
    pub group_by: GroupBy,
    /// Score like the reference, where the default is stricter.
    pub lenient: bool,
    /// How the verdict counts a conversation that matches no case of the eval set.
    pub unmatched: Unmatched,
    /// How many custom evaluators run at the same time.
    pub max_concurrent_evals: usize,
}

/// How the verdict counts a conversation that matches no case of the eval set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unmatched {
    /// Its metrics were not evaluated, so that the run does not pass.
    #[default]
    Fail,
    /// It is listed and otherwise passed over: traces often hold more than an eval set is about.
    Ignore,
}

impl Unmatched {
    /// The names used on the command line.
    pub const NAMES: [(&'static str, Self); 2] = [("fail", Self::Fail), ("ignore", Self::Ignore)];
}

/// One metric of a plan.
#[derive(Clone)]
pub struct Evaluator {
    /// Name in the results.
    pub name: String,
    /// Lowest score that passes.
    pub threshold: f64,
    /// The code that computes it.
    pub kind: EvaluatorKind,
}

impl Evaluator {
    /// Whether a custom evaluator computes it.
    pub fn is_custom(&self) -> bool {
        matches!(self.kind, EvaluatorKind::Custom { .. })
    }
}

/// The code that computes a metric.
#[derive(Clone)]
pub enum EvaluatorKind {
    /// A metric of this program.
    Builtin {
        /// The metric.
        metric: Builtin,
        /// Options of the trajectory metric; other metrics ignore them.
        trajectory: TrajectoryOptions,
    },
    /// A program outside this one.
    Custom {
        /// Runs it.
        port: Arc<dyn CustomEvaluator>,
        /// Passed to it unchanged.
        config: Value<'static>,
    },
}
