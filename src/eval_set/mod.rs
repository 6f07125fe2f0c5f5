//! Golden eval sets: the ADK schema, read with located errors, and the choice of the case for a conversation.

mod lint;
mod model;
mod parse;
mod select;

pub use model::{EvalCase, EvalSet};
pub use parse::EvalSetError;
pub use select::{CaseIndex, CaseMatch, NoMatch};
