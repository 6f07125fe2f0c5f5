//! Turns values into parameters of statements.

use std::borrow::Cow;
use std::time::Duration;

use crate::names::name_of;
use crate::queue::Lease;

/// The names of filter values, or null for any.
pub(super) fn names<T: PartialEq>(table: &[(&'static str, T)], values: &[T]) -> Option<Vec<&'static str>> {
    (!values.is_empty()).then(|| values.iter().map(|value| name_of(table, value)).collect())
}

/// The texts of filter values, or null for any.
pub(super) fn texts(values: &[String]) -> Option<Vec<Cow<'_, str>>> {
    (!values.is_empty()).then(|| values.iter().map(|value| text(value)).collect())
}

/// A duration in milliseconds.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A place or number as `integer`; larger ones do not exist.
pub(super) fn place(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(super) fn lease_columns(leases: &[Lease]) -> (Vec<uuid::Uuid>, Vec<uuid::Uuid>) {
    leases.iter().map(|lease| (lease.run.0, lease.id.0)).unzip()
}

/// Replaces NUL, which PostgreSQL text cannot hold.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}
