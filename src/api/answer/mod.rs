//! Bodies of answers: runs, results, events and evaluations, and their encoding.
//!
//! A member that may be null is always present, as in the reference implementation, and documented as required and
//! nullable. Members that a client has to ask for, or that do not apply, are left out: `spec`, details of events, and
//! additions to problems. Those are documented as optional and never null.

mod conversation;
mod delivery;
mod event;
mod json;
mod member;
mod offer;
mod performance;
mod report;
mod result;
mod run;
mod update;

pub(super) use conversation::OneConversion;
pub(super) use delivery::{DeliveryAnswer, DeliveryPage, Redelivered};
pub(super) use event::EventAnswer;
pub(super) use json::Json;
pub(super) use member::{Described, Named, Nullable, RawObject, Vocabulary};
pub use offer::ApiKeys;
pub(super) use offer::{MetricList, OneConfig, OneValidation};
pub(super) use report::OneReport;
pub(super) use result::{ResultAnswer, ResultPage};
pub(super) use run::{OneRun, RunAnswer, RunPage};
pub(super) use update::EvaluationUpdate;
