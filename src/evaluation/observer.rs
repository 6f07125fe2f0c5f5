//! Follows an evaluation while it runs.

use super::plan::Evaluator;
use super::report::UnitReport;
use crate::extraction::Conversation;

/// The place of an evaluation unit among all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitPlace {
    /// Its index in the report, from 0.
    pub index: usize,
    /// Number of units.
    pub total: usize,
}

/// Is called as an evaluation makes progress. Calls about different units come in any order and from several threads;
/// those about one unit come in the order of these methods.
pub trait Observer: Sync {
    /// The traces were grouped into this many units.
    fn grouped(&self, _total: usize) {}

    /// The conversation of a unit was extracted; the report has no metrics yet.
    fn extracted(&self, _place: UnitPlace, _unit: &UnitReport, _conversation: &Conversation) {}

    /// A metric of a unit is about to be computed.
    fn metric_started(&self, _place: UnitPlace, _evaluator: &Evaluator) {}

    /// The metric at this index of the report is computed; others may still be missing.
    fn metric_done(&self, _place: UnitPlace, _unit: &UnitReport, _metric: usize) {}

    /// All metrics of a unit are computed.
    fn unit_done(&self, _place: UnitPlace, _unit: &UnitReport) {}
}

/// Observes nothing.
impl Observer for () {}
