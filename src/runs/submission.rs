//! Temporary stand-in.
#![allow(missing_docs)]
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::model::NewRun;
use crate::ids::RunId;
use crate::json::SyntaxError;

#[derive(Debug, Clone, Default)]
pub struct SubmissionRules {}

#[derive(Debug)]
pub struct Problem {
    pub pointer: String,
    pub message: String,
}
#[derive(Debug)]
pub enum SubmissionError {
    Syntax(SyntaxError),
    Invalid(Vec<Problem>),
}

pub fn parse(body: &str, _: &SubmissionRules) -> Result<NewRun, SubmissionError> {
    crate::json::parse(body).map_err(SubmissionError::Syntax)?;
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let fault = |at: &str, message: &str| {
        SubmissionError::Invalid(vec![Problem { pointer: at.into(), message: message.into() }])
    };
    let spec = value.get("spec").ok_or_else(|| fault("/spec", "missing"))?;
    spec.get("target").ok_or_else(|| fault("/spec/target", "missing"))?;
    let id = match value.get("runId").or(value.get("run_id")) {
        Some(id) => {
            id.as_str().and_then(|id| id.parse().ok()).ok_or_else(|| fault("/runId", "is no UUID"))?
        }
        None => RunId::new_v7(),
    };
    let labels = value.get("labels").cloned().unwrap_or_else(|| serde_json::json!({}));
    let text = spec.to_string();
    Ok(NewRun {
        id,
        idempotency_key: None,
        digest: Sha256::digest(&text).into(),
        spec: text,
        priority: 0,
        deadline: Duration::from_secs(300),
        max_attempts: 3,
        labels: serde_json::from_value(labels).unwrap_or_default(),
    })
}
