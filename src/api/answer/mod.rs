//! What is answered: the wire shapes of runs, results, events and evaluations, and how they are encoded.
//!
//! A member that may be null is always there, as in the reference, and documented as required and nullable. Left
//! out are only members that one has to ask for or that do not apply: `spec`, the particulars of an event, and what
//! a problem adds. Those are documented as optional and never null.

mod conversation;
mod delivery;
mod event;
mod json;
mod member;
mod offer;
mod performance;
mod progress;
mod report;
mod result;
mod run;

pub(super) use conversation::OneConversion;
pub(super) use delivery::{DeliveryAnswer, DeliveryPage, Redelivered};
pub(super) use event::EventAnswer;
pub(super) use json::Json;
pub(super) use member::{Described, Named, Nullable, RawObject, Vocabulary};
pub use offer::ApiKeys;
pub(super) use offer::{MetricList, OneConfig, OneValidation};
pub(super) use progress::EvaluationEvent;
pub(super) use report::OneReport;
pub(super) use result::{ResultAnswer, ResultPage};
pub(super) use run::{OneRun, RunAnswer, RunPage};
