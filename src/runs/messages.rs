//! What sinks are told: the members of the reference's webhooks, and what is of use besides.
//!
//! `{phase, run_id, attempt}` and, by phase, `results`, `summary` or `error`. Other sinks derive their lines from the
//! same text, so that it is stored once.

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::ResultObject;
use super::model::{Ending, Failure, Message, Phase, Record, StoredResult, Summary, Verdict, name_of};
use crate::ids::RunId;

/// Code and text of the error of a run that was cancelled, which is no failure.
pub const CANCELLED: (&str, &str) = ("cancelled", "the run was cancelled");

/// A message to a webhook.
#[derive(Serialize)]
struct Payload<'a> {
    phase: &'static str,
    run_id: RunId,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<ResultObject>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

impl<'a> Payload<'a> {
    fn new(phase: Phase, run_id: RunId, attempt: u32) -> Self {
        let phase = name_of(&Phase::NAMES, &phase);
        let (results, summary, verdict, error, code) = (None, None, None, None, None);
        Self { phase, run_id, attempt, results, summary, verdict, error, code }
    }

    fn of_ending(ending: &'a Ending, run: RunId, attempt: u32) -> (Phase, Self) {
        let error = |code, error| Self {
            code: Some(code),
            error: Some(error),
            ..Self::new(Phase::Error, run, attempt)
        };
        match ending {
            Ending::Succeeded { verdict, summary } => {
                let (verdict, summary) = (Some(name_of(&Verdict::NAMES, verdict)), Some(&**summary));
                (Phase::Final, Self { verdict, summary, ..Self::new(Phase::Final, run, attempt) })
            }
            Ending::Failed(Failure { code, message }) => (Phase::Error, error(code, message)),
            Ending::Cancelled => (Phase::Error, error(CANCELLED.0, CANCELLED.1)),
        }
    }

    fn to_text(&self) -> anyhow::Result<String> {
        serde_json::to_string(self).context("writing a message to a sink")
    }
}

impl Record {
    /// What writing this record has to tell sinks, in order: new results, then the end. Nothing, for a run without.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    pub fn messages(&self, at: DateTime<Utc>) -> anyhow::Result<Vec<Message>> {
        let mut messages = Vec::new();
        if !self.has_sinks {
            return Ok(messages);
        }
        let (run, attempt) = (self.lease.run, self.attempt);
        let results = self.results.len() as u32;
        if results > 0 {
            let stored = |record| StoredResult { record, attempt, created_at: at };
            let objects = self.results.iter().cloned().map(|record| ResultObject::new(run, stored(record)));
            let payload =
                Payload { results: Some(objects.collect()), ..Payload::new(Phase::Partial, run, attempt) };
            messages.push(Message { number: results, phase: Phase::Partial, payload: payload.to_text()? });
        }
        if let Some(ending) = &self.ending {
            let (phase, payload) = Payload::of_ending(ending, run, attempt);
            // The event of the end comes right after those of the results.
            messages.push(Message { number: results + 1, phase, payload: payload.to_text()? });
        }
        Ok(messages)
    }
}

/// What sinks are told of the end of a run that no worker holds.
///
/// # Errors
/// What cannot be written as JSON.
pub fn end_of_unheld(run: RunId, attempt: u32, ending: &Ending) -> anyhow::Result<(Phase, String)> {
    let (phase, payload) = Payload::of_ending(ending, run, attempt);
    Ok((phase, payload.to_text()?))
}
