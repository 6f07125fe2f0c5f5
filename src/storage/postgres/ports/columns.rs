//! Rows as parameters of a statement: one array for each column, which the statement joins by `unnest`.

use std::borrow::Cow;

use anyhow::Context;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::values::text;
use crate::names::name_of;
use crate::outbox::{NewMessage, Phase};
use crate::runs::{
    Ending, EvaluatorType, EventData, EventKind, ResultRecord, ResultStatus, RunStatus, StoreResult, Verdict,
};

/// Declares a struct whose fields are consecutive parameters of a statement, each with its SQL type. The types of the
/// statement come from its `LIST`, the values from `add_to`, so that both have one order; a test compares the names with
/// the `unnest` calls of the statement.
macro_rules! columns {
    (
        $(#[$about:meta])*
        struct $name:ident $(<$life:lifetime>)? { $($field:ident: $type:ty => $sql:ident,)* }
    ) => {
        $(#[$about])*
        #[derive(Default)]
        pub(super) struct $name $(<$life>)? {
            $(pub(super) $field: $type,)*
        }

        impl $(<$life>)? $name $(<$life>)? {
            /// The parameters, by name and SQL type.
            pub(super) const LIST: &'static $crate::storage::postgres::query::ParameterList =
                &$crate::storage::postgres::query::ParameterList {
                    names: &[$(stringify!($field)),*],
                    types: &[$(tokio_postgres::types::Type::$sql),*],
                };

            /// Adds the parameters to those of a statement, in order.
            pub(super) fn add_to<'p>(&'p self, parameters: &mut Vec<&'p (dyn ToSql + Sync)>) {
                $(parameters.push(&self.$field);)*
            }
        }
    };
}
pub(super) use columns;

/// Declares all parameters of a statement as a sequence of such structs, in the order of `$1`, `$2`, ….
macro_rules! statement_columns {
    (
        $(#[$about:meta])*
        struct $name:ident $(<$life:lifetime>)? { $($field:ident: $columns:ident $(<$of:lifetime>)?,)* }
    ) => {
        $(#[$about])*
        #[derive(Default)]
        pub(super) struct $name $(<$life>)? {
            $($field: $columns $(<$of>)?,)*
        }

        impl $(<$life>)? $name $(<$life>)? {
            pub(super) const LISTS: &'static [&'static $crate::storage::postgres::query::ParameterList] =
                &[$($columns::LIST),*];

            fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
                let mut parameters = Vec::new();
                $(self.$field.add_to(&mut parameters);)*
                parameters
            }
        }
    };
}
pub(super) use statement_columns;

columns! {
    /// The runs that other rows belong to.
    struct RunIdColumn {
        run_id: Vec<Uuid> => UUID_ARRAY,
    }
}

columns! {
    /// Results.
    struct ResultColumns<'a> {
        ordinal: Vec<i32> => INT4_ARRAY,
        eval_set_item_id: Vec<Cow<'a, str>> => TEXT_ARRAY,
        eval_set_item_name: Vec<Cow<'a, str>> => TEXT_ARRAY,
        eval_case_id: Vec<Option<Cow<'a, str>>> => TEXT_ARRAY,
        evaluator_name: Vec<Cow<'a, str>> => TEXT_ARRAY,
        evaluator_type: Vec<&'static str> => TEXT_ARRAY,
        status: Vec<&'static str> => TEXT_ARRAY,
        score: Vec<Option<f64>> => FLOAT8_ARRAY,
        per_invocation_scores: Vec<String> => TEXT_ARRAY,
        trace_id: Vec<Option<Cow<'a, str>>> => TEXT_ARRAY,
        span_id: Vec<Option<Cow<'a, str>>> => TEXT_ARRAY,
        details: Vec<Option<&'a str>> => TEXT_ARRAY,
        error_text: Vec<Option<Cow<'a, str>>> => TEXT_ARRAY,
        latency_ms: Vec<Option<i64>> => INT8_ARRAY,
    }
}

impl<'a> ResultColumns<'a> {
    pub(super) fn push(&mut self, result: &'a ResultRecord) -> StoreResult<()> {
        let optional = |field: &'a Option<String>| field.as_deref().map(text);
        let scores = serde_json::to_string(&result.per_invocation_scores).context("writing scores")?;
        self.ordinal.push(result.ordinal as i32);
        self.eval_set_item_id.push(text(&result.item_id));
        self.eval_set_item_name.push(text(&result.item_name));
        self.eval_case_id.push(optional(&result.eval_case_id));
        self.evaluator_name.push(text(&result.evaluator_name));
        self.evaluator_type.push(name_of(&EvaluatorType::NAMES, &result.evaluator_type));
        self.status.push(name_of(&ResultStatus::NAMES, &result.status));
        self.score.push(result.score);
        self.per_invocation_scores.push(scores);
        self.trace_id.push(optional(&result.trace_id));
        self.span_id.push(optional(&result.span_id));
        self.details.push(result.details.as_ref().map(|details| details.get()));
        self.error_text.push(optional(&result.error_text));
        self.latency_ms.push(result.latency_ms);
        Ok(())
    }
}

columns! {
    /// Events.
    struct EventColumns {
        number: Vec<i32> => INT4_ARRAY,
        kind: Vec<&'static str> => TEXT_ARRAY,
        data: Vec<String> => TEXT_ARRAY,
    }
}

impl EventColumns {
    /// Adds an event; `number` counts from 1 within the rows of its run.
    pub(super) fn push(&mut self, number: i32, kind: EventKind, data: &EventData) -> StoreResult<()> {
        self.number.push(number);
        self.kind.push(name_of(&EventKind::NAMES, &kind));
        self.data.push(serde_json::to_string(data).context("writing an event")?);
        Ok(())
    }
}

columns! {
    /// Messages to sinks.
    struct MessageColumns<'a> {
        number: Vec<i32> => INT4_ARRAY,
        phase: Vec<&'static str> => TEXT_ARRAY,
        payload: Vec<&'a str> => TEXT_ARRAY,
    }
}

impl<'a> MessageColumns<'a> {
    pub(super) fn push(&mut self, message: &'a NewMessage) {
        self.number.push(message.number as i32);
        self.phase.push(name_of(&Phase::NAMES, &message.phase));
        self.payload.push(&message.body);
    }
}

/// The columns of a run's end; all null while the run goes on.
#[derive(Default)]
pub(super) struct EndingColumns {
    pub(super) outcome: Option<&'static str>,
    pub(super) verdict: Option<&'static str>,
    pub(super) error_code: Option<String>,
    pub(super) error_message: Option<String>,
    pub(super) summary: Option<String>,
}

impl EndingColumns {
    pub(super) fn of(ending: Option<&Ending>) -> StoreResult<Self> {
        let outcome = ending.map(|ending| name_of(&RunStatus::NAMES, &ending.status()));
        let mut columns = Self { outcome, ..Self::default() };
        match ending {
            Some(Ending::Succeeded { verdict, summary }) => {
                columns.verdict = Some(name_of(&Verdict::NAMES, verdict));
                columns.summary = Some(serde_json::to_string(summary).context("writing a summary")?);
            }
            Some(Ending::Failed(failure)) => {
                columns.error_code = Some(text(&failure.code).into_owned());
                columns.error_message = Some(text(&failure.message).into_owned());
            }
            Some(Ending::Cancelled) | None => {}
        }
        Ok(columns)
    }
}
