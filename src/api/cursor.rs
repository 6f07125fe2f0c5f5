//! Positions in lists and streams as opaque text for clients.

use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use uuid::Uuid;

use super::params::FromText;
use crate::ids::RunId;
use crate::runs::FeedPosition;

/// A position that can be written as a cursor.
pub(super) trait PagePosition: Copy + Send {
    /// The list or stream, for messages.
    const LIST: &'static str;

    /// Regular expression for its text: base64url without padding.
    const PATTERN: &'static str;

    /// The position as bytes.
    fn to_bytes(self) -> Vec<u8>;

    /// The position with these bytes; `None` if they are not one.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// A position as text.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageCursor<P>(pub(super) P);

impl<P: PagePosition> fmt::Display for PageCursor<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.to_bytes()))
    }
}

impl<P: PagePosition> FromText for PageCursor<P> {
    fn schema() -> MetaSchemaRef {
        let pattern = Some(P::PATTERN.to_owned());
        MetaSchemaRef::Inline(Box::new(MetaSchema { pattern, ..MetaSchema::new("string") }))
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let place = bytes.and_then(|bytes| P::from_bytes(&bytes));
        place.map(Self).ok_or_else(|| format!("`{text}` does not come from {}", P::LIST))
    }
}

/// Times in microseconds and transaction ids in cursors. The limit makes their text begin with `A`, and lies far within
/// the range of PostgreSQL's types.
const POSSIBLE: Range<i64> = 0..1 << 58;

/// A position in the list of runs: creation time, then id.
pub(super) type RunPosition = (DateTime<Utc>, RunId);

impl PagePosition for RunPosition {
    const LIST: &'static str = "`next` of a list of runs";
    const PATTERN: &'static str = "^A[A-Za-z0-9_-]{31}$";

    fn to_bytes(self) -> Vec<u8> {
        [&self.0.timestamp_micros().to_be_bytes()[..], self.1.0.as_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (time, id) = bytes.split_first_chunk()?;
        let micros = i64::from_be_bytes(*time);
        if !POSSIBLE.contains(&micros) {
            return None;
        }
        Some((DateTime::from_timestamp_micros(micros)?, RunId(Uuid::from_slice(id).ok()?)))
    }
}

/// A position in the results of a run: the ordinal.
impl PagePosition for u32 {
    const LIST: &'static str = "`next` of a list of results";
    const PATTERN: &'static str = "^[A-Za-z0-9_-]{5}[AQgw]$";

    fn to_bytes(self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_be_bytes)
    }
}

/// A position in the messages of a run: event, then sink.
impl PagePosition for (u32, u16) {
    const LIST: &'static str = "`next` of a list of deliveries";
    const PATTERN: &'static str = "^[A-Za-z0-9_-]{8}$";

    fn to_bytes(self) -> Vec<u8> {
        [&self.0.to_be_bytes()[..], &self.1.to_be_bytes()[..]].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (event, sink) = bytes.split_first_chunk()?;
        Some((u32::from_be_bytes(*event), u16::from_be_bytes(sink.try_into().ok()?)))
    }
}

impl PagePosition for FeedPosition {
    const LIST: &'static str = "an event of this stream";
    const PATTERN: &'static str = "^A[A-Za-z0-9_-]{36}[AQgw]$";

    fn to_bytes(self) -> Vec<u8> {
        let (transaction, seq) = (self.transaction.to_be_bytes(), self.seq.to_be_bytes());
        [&transaction[..], self.run.0.as_bytes(), &seq[..]].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (transaction, rest) = bytes.split_first_chunk()?;
        let (run, seq) = rest.split_last_chunk()?;
        let (id, number) = (Uuid::from_slice(run).ok()?, i64::from_be_bytes(*transaction));
        if !POSSIBLE.contains(&number) {
            return None;
        }
        Some(Self { transaction: number.try_into().ok()?, run: RunId(id), seq: u32::from_be_bytes(*seq) })
    }
}

/// Cuts items down to a page, and makes the cursor of the next one if there were more than `size` items.
pub(super) fn page<T, P: PagePosition>(
    mut items: Vec<T>,
    size: usize,
    place: impl Fn(&T) -> P,
) -> (Vec<T>, Option<String>) {
    let has_more = items.len() > size;
    items.truncate(size);
    let next = items.last().filter(|_| has_more).map(|last| PageCursor(place(last)).to_string());
    (items, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried<P: PagePosition>(place: P) -> Result<P, String> {
        PageCursor::from_text(&PageCursor(place).to_string()).map(|PageCursor(place)| place)
    }

    #[test]
    fn places_survive_the_way_to_the_client_and_back() {
        let run = RunId::new_v7();
        let time = DateTime::from_timestamp_micros(1_764_000_000_123_456).unwrap();
        let position = FeedPosition { transaction: 1 << 40, run, seq: 7 };
        assert_eq!(carried((time, run)), Ok((time, run)));
        assert_eq!(carried(4_000_000_000), Ok(4_000_000_000));
        assert_eq!(carried(position), Ok(position));
        assert_eq!(carried((70_000, 9)), Ok((70_000, 9)));
    }

    #[test]
    fn what_is_no_cursor_or_one_of_another_list_is_refused() {
        for text in ["", "!", "AAAA", &PageCursor(7).to_string()] {
            assert!(PageCursor::<FeedPosition>::from_text(text).is_err(), "{text}");
        }
        // A time that PostgreSQL could not compare with.
        let before_all = DateTime::from_timestamp_micros(i64::MIN / 2).unwrap();
        assert!(carried((before_all, RunId::new_v7())).is_err());
    }

    #[test]
    fn texts_look_as_described() {
        fn check<P: PagePosition>(place: P) {
            let (text, pattern) = (PageCursor(place).to_string(), regex::Regex::new(P::PATTERN).unwrap());
            assert!(pattern.is_match(&text), "`{text}` does not look like {pattern}");
        }
        let run = RunId(Uuid::max());
        check((DateTime::from_timestamp_micros(POSSIBLE.end - 1).unwrap(), run));
        check((DateTime::from_timestamp_micros(0).unwrap(), run));
        check(u32::MAX);
        check((u32::MAX, u16::MAX));
        check(FeedPosition { transaction: POSSIBLE.end as u64 - 1, run, seq: u32::MAX });
    }

    #[test]
    fn only_a_page_with_something_after_it_has_a_next() {
        assert_eq!(page(vec![1, 2], 2, |n| *n), (vec![1, 2], None));
        assert_eq!(page(vec![1, 2, 3], 2, |n| *n), (vec![1, 2], Some(PageCursor(2).to_string())));
    }
}
