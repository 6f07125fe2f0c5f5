//! Reads the answer of an evaluator.

use crate::json::checked::{Cursor, Faults, Spelling};
use crate::json::{self, Value};
use crate::metrics::EvalStatus;
use crate::metrics::custom::{EvaluatorError, EvaluatorOutput};

/// Reads an evaluator's standard output.
///
/// Debugging output in front does no harm: if the whole is not JSON, the last line is read.
pub(super) fn read_output(name: &str, stdout: &str) -> Result<EvaluatorOutput, EvaluatorError> {
    let invalid = |what: String| EvaluatorError::InvalidOutput(format!("evaluator `{name}` {what}"));
    let last_line = || stdout.trim_end().lines().last().and_then(|line| json::parse(line).ok());
    let value = match json::parse(stdout.trim()) {
        Ok(value) => value,
        Err(error) => {
            last_line().ok_or_else(|| invalid(format!("did not print one JSON document: {error}")))?
        }
    };
    let faults = Faults::default();
    let output = read_document(&Cursor::root(&value, &faults));
    let faults = faults.into_vec();
    match (output, faults.first()) {
        (Some(output), None) => Ok(output),
        (_, Some(fault)) => Err(invalid(format!("printed an invalid answer: {fault}"))),
        (None, None) => Err(invalid("printed an invalid answer".into())),
    }
}

fn read_document(cursor: &Cursor<'_, '_>) -> Option<EvaluatorOutput> {
    let object = cursor.object(Spelling::Snake)?;
    let score = object.required("score", |score| {
        let number = score.number()?;
        if !(0.0..=1.0).contains(&number) {
            score.fault(format!("{number} is outside 0..=1"));
            return None;
        }
        Some(number)
    });
    let statuses = [
        ("PASSED", EvalStatus::Passed),
        ("FAILED", EvalStatus::Failed),
        ("NOT_EVALUATED", EvalStatus::NotEvaluated),
    ];
    let status = object.optional("status", |status| status.choice(&statuses));
    let per_invocation = object.optional("per_invocation_scores", |scores| {
        scores.list(|score| match score.value() {
            Value::Null => Some(None),
            _ => score.number().map(Some),
        })
    });
    let details = object.optional("details", |map| map.map().map(|_| map.value().clone().into_owned()));
    Some(EvaluatorOutput {
        score: score?,
        status,
        per_invocation_scores: per_invocation.unwrap_or_default(),
        details,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_checked() {
        let output = read_output("e", r#"{"score":0.5,"per_invocation_scores":[1,null],"extra":1}"#).unwrap();
        assert_eq!((output.score, &*output.per_invocation_scores), (0.5, &[Some(1.0), None][..]));
        assert_eq!(read_output("e", "debug {\n{\"score\": 1}\n").unwrap().score, 1.0);
        for (text, fault) in [
            ("{}", "$.score: missing"),
            (r#"{"score":1.5}"#, "$.score: 1.5 is outside 0..=1"),
            (r#"{"score":NaN}"#, "outside 0..=1"),
            (r#"{"score":1,"status":"GOOD"}"#, "$.status: unknown value `GOOD`"),
            (r#"{"score":1,"details":[]}"#, "$.details: expected an object"),
            ("oops", "did not print one JSON document"),
        ] {
            let error = read_output("e", text).unwrap_err().to_string();
            assert!(error.contains(fault), "{text}: {error}");
        }
    }
}
