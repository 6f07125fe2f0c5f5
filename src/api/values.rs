//! Types of parameters.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};

use super::answer::{Named, Vocabulary};
use super::params::FromText;

fn schema(schema: MetaSchema) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(schema))
}

impl FromText for String {
    fn schema() -> MetaSchemaRef {
        schema(MetaSchema::new("string"))
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

// `Type` is not imported: its method `is_empty` would shadow that of `&str`, and always return false.
impl<T: Vocabulary> FromText for Named<T> {
    fn schema() -> MetaSchemaRef {
        <Self as poem_openapi::types::Type>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        <Self as poem_openapi::types::Type>::register(registry);
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let known = T::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, value)| Self(*value)).ok_or_else(|| {
            let names: Vec<_> = T::NAMES.iter().map(|(name, _)| *name).collect();
            format!("`{text}` is unknown; expected {}", names.join(", "))
        })
    }
}

/// Largest page.
pub(super) const MAX_PAGE: usize = 1000;

/// Most items to answer with.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSize<const DEFAULT: usize>(usize);

impl<const DEFAULT: usize> PageSize<DEFAULT> {
    /// The size asked for, or the default.
    pub(super) fn of(asked: Option<Self>) -> usize {
        asked.map_or(DEFAULT, |size| size.0)
    }
}

impl<const DEFAULT: usize> FromText for PageSize<DEFAULT> {
    fn schema() -> MetaSchemaRef {
        schema(MetaSchema {
            default: Some(DEFAULT.into()),
            minimum: Some(1.0),
            maximum: Some(MAX_PAGE as f64),
            ..MetaSchema::new("integer")
        })
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let size = text.parse().ok().filter(|size| (1..=MAX_PAGE).contains(size));
        size.map(Self).ok_or_else(|| format!("`{text}` is no number from 1 to {MAX_PAGE}"))
    }
}

/// The years of RFC 3339, with a margin for zones; all of them are within the range of PostgreSQL.
const YEARS: RangeInclusive<i32> = -1..=10_000;

/// A time; UTC unless it has a zone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Timestamp(pub(super) DateTime<Utc>);

impl FromText for Timestamp {
    fn schema() -> MetaSchemaRef {
        schema(MetaSchema::new_with_format("string", "date-time"))
    }

    fn from_text(text: &str) -> Result<Self, String> {
        match zoned(text).or_else(|| local(text)) {
            Some(time) if YEARS.contains(&time.year()) => Ok(Self(time)),
            _ => Err(format!("`{text}` is no time; expected one like 2026-01-31T12:00:00Z")),
        }
    }
}

/// A time with a zone.
fn zoned(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    // An unescaped `+` of the zone arrives as a space.
    let (time, zone) = text.rsplit_once(' ')?;
    Some(DateTime::parse_from_rfc3339(&format!("{time}+{zone}")).ok()?.to_utc())
}

/// A time or a date without a zone, as UTC.
fn local(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = NaiveDateTime::from_str(text) {
        return Some(time.and_utc());
    }
    Some(NaiveDate::from_str(text).ok()?.and_hms_opt(0, 0, 0)?.and_utc())
}

/// A label that runs must have, as `key=value`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    /// The key.
    pub(super) key: String,
    /// The value.
    pub(super) value: String,
}

impl FromText for Label {
    fn schema() -> MetaSchemaRef {
        schema(MetaSchema {
            pattern: Some("^[^=]+=.*$".to_owned()),
            example: Some("branch=main".into()),
            ..MetaSchema::new("string")
        })
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(key, _)| !key.is_empty());
        let (key, value) = parts.ok_or_else(|| format!("`{text}` is no label; expected key=value"))?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// An addition to the answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Include {
    /// The specification of the run.
    Spec,
}

impl FromText for Include {
    fn schema() -> MetaSchemaRef {
        schema(MetaSchema { enum_items: vec!["spec".into()], ..MetaSchema::new("string") })
    }

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "spec" => Ok(Self::Spec),
            _ => Err(format!("`{text}` is unknown; expected spec")),
        }
    }
}

/// Longest key.
const MAX_KEY: usize = 255;

/// A key that makes it safe to repeat a submission.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IdempotencyKey(pub(super) String);

impl FromText for IdempotencyKey {
    fn schema() -> MetaSchemaRef {
        schema(MetaSchema {
            min_length: Some(1),
            max_length: Some(MAX_KEY),
            pattern: Some("^[!-~]+$".to_owned()),
            ..MetaSchema::new("string")
        })
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let is_key = (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_key
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| format!("must be 1 to {MAX_KEY} visible ASCII characters"))
    }
}

/// Longest wait that is granted: shorter than usual timeouts of proxies.
const MAX_WAIT_S: u64 = 60;

/// The header `Prefer` (RFC 7240); unknown preferences are ignored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prefer {
    /// `wait`, cut down to the longest wait that is granted.
    pub(super) wait: Option<Duration>,
}

impl FromText for Prefer {
    fn schema() -> MetaSchemaRef {
        schema(MetaSchema { example: Some("wait=10".into()), ..MetaSchema::new("string") })
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let preferences = text.split([',', ';']).filter_map(|preference| preference.split_once('='));
        let mut waits = preferences.filter(|(name, _)| name.trim().eq_ignore_ascii_case("wait"));
        let seconds = waits.next().and_then(|(_, value)| value.trim().parse::<u64>().ok());
        Ok(Self { wait: seconds.map(|seconds| Duration::from_secs(seconds.min(MAX_WAIT_S))) })
    }
}

/// The number of an event of one run.
impl FromText for u32 {
    fn schema() -> MetaSchemaRef {
        let (minimum, maximum) = (Some(0.0), Some(u32::MAX.into()));
        schema(MetaSchema { minimum, maximum, ..MetaSchema::new_with_format("integer", "uint32") })
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("`{text}` is no number of an event"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        let time = |text: &str| Timestamp::from_text(text).map(|Timestamp(time)| time.to_rfc3339());
        for (text, expected) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
            ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00+00:00"),
            ("2026-01-31T12:00:00 02:00", "2026-01-31T10:00:00+00:00"),
            ("2026-01-31T12:00:00.5", "2026-01-31T12:00:00.500+00:00"),
            ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ] {
            assert_eq!(time(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["yesterday", "-5000-01-01", "+20000-01-01T00:00:00"] {
            assert!(time(text).unwrap_err().contains(&format!("`{text}` is no time")), "{text}");
        }
    }

    #[test]
    fn a_wait_is_found_among_preferences_and_cut() {
        let wait = |text| Prefer::from_text(text).unwrap().wait.map(|wait| wait.as_secs());
        for (text, expected) in [
            ("wait=5", Some(5)),
            ("respond-async, Wait=7", Some(7)),
            ("wait=3600", Some(60)),
            ("wait=soon", None),
            ("respond-async", None),
        ] {
            assert_eq!(wait(text), expected, "{text}");
        }
    }

    #[test]
    fn keys_are_visible_and_short() {
        assert!(IdempotencyKey::from_text("k-1").is_ok());
        for text in ["", "a b", "ü", &"k".repeat(256)] {
            assert!(IdempotencyKey::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_label_may_have_an_empty_value_or_one_with_an_equals_sign() {
        let label = |text| Label::from_text(text).map(|label| (label.key, label.value));
        assert_eq!(label("a="), Ok(("a".into(), String::new())));
        assert_eq!(label("a=b=c"), Ok(("a".into(), "b=c".into())));
        for text in ["=b", "a"] {
            assert_eq!(label(text), Err(format!("`{text}` is no label; expected key=value")));
        }
    }
}
