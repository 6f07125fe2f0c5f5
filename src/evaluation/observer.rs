//! Following an evaluation while it goes on.

use super::{Evaluator, UnitReport};
use crate::extraction::Conversation;

/// Where an evaluation unit stands among all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitPlace {
    /// Its place, from 0, in the order of the report.
    pub index: usize,
    /// How many units there are.
    pub total: usize,
}

/// Is told how an evaluation goes on: of different units in any order and from several threads, of one unit in the
/// order of these methods.
pub trait Observer: Sync {
    /// The traces were grouped into so many units.
    fn grouped(&self, _total: usize) {}

    /// The conversation of a unit was extracted; the report has no metrics yet.
    fn extracted(&self, _place: UnitPlace, _unit: &UnitReport, _conversation: &Conversation) {}

    /// A metric of a unit is about to be computed.
    fn metric_started(&self, _place: UnitPlace, _evaluator: &Evaluator) {}

    /// The metric at this place of the report is done; others may not be.
    fn metric_done(&self, _place: UnitPlace, _unit: &UnitReport, _metric: usize) {}

    /// All metrics of a unit are done.
    fn unit_done(&self, _place: UnitPlace, _unit: &UnitReport) {}
}

/// Nobody looks.
impl Observer for () {}
