//! The one path from traces to a report; the command line, the service and the workers all call it.

pub mod config;
mod conversion;
mod custom;
mod evaluate;
mod observer;
mod plan;
mod report;
mod units;

pub use conversion::{Converted, convert};
pub use evaluate::evaluate;
pub use observer::{Observer, UnitPlace};
pub use plan::{Evaluator, EvaluatorKind, Plan, Unmatched};
pub use report::{Report, TurnRef, UnitReport, Verdict};
pub use units::GroupBy;
