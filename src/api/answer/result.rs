//! Results in answers.

use poem_openapi::Object;
use serde::Serialize;

use super::member::Nullable;
pub(in crate::api) use crate::runs::ResultObject as ResultAnswer;

/// A page of the results of a run.
#[derive(Debug, Serialize, Object)]
pub(in crate::api) struct ResultPage {
    /// Results, by unit, then by evaluator.
    pub(in crate::api) data: Vec<ResultAnswer>,
    /// The `cursor` of the next page; null on the last one.
    pub(in crate::api) next: Nullable<String>,
}
