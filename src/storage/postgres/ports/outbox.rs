//! The outbox in PostgreSQL. The statements about runs write the messages.

use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::{Timestamp, ToSql};

use super::queries as sql;
use super::rows::{choice, column, number};
use super::store::PostgresStore;
use super::values::{count, milliseconds, place, text};
use crate::ids::{LeaseId, RunId};
use crate::names::name_of;
use crate::outbox::{
    ClaimedMessage, Message, MessageId, MessageLease, MessageState, Outbox, Phase, Room, Settlement,
};
use crate::runs::{StoreError, StoreResult};
use crate::spec::{SinkKind, StoredSink};

#[async_trait]
impl Outbox for PostgresStore {
    async fn claim_messages(&self, room: &Room, margin: Duration) -> StoreResult<Vec<ClaimedMessage>> {
        let (busy, left): (Vec<_>, Vec<_>) =
            room.left.iter().map(|(destination, left)| (text(destination), count(*left))).unzip();
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&count(room.total), &milliseconds(margin), &busy, &left, &count(room.per_destination)];
        let rows = self.database.query(&sql::CLAIM_MESSAGES, &parameters).await?;
        rows.iter().map(claimed).collect()
    }

    async fn settle_message(&self, lease: MessageLease, settlement: &Settlement) -> StoreResult<bool> {
        let SettlementColumns { state, wait_ms, status, error, is_given_back } =
            SettlementColumns::of(settlement);
        let ends_line = matches!(settlement, Settlement::GivenUp { .. });
        let (run, sink, event) = (lease.message.run.0, sink(lease.message.sink), place(lease.message.event));
        let parameters: [&(dyn ToSql + Sync); 10] =
            [&run, &sink, &event, &lease.id.0, &state, &wait_ms, &status, &error, &is_given_back, &ends_line];
        Ok(!self.database.query(&sql::SETTLE_MESSAGE, &parameters).await?.is_empty())
    }

    async fn next_message(&self) -> StoreResult<Option<Duration>> {
        let rows = self.database.query(&sql::NEXT_MESSAGE, &[]).await?;
        let due: Option<i64> = rows.first().map(|row| column(row, "next_due_ms")).transpose()?;
        Ok(due.map(|milliseconds| Duration::from_millis(milliseconds.max(0).unsigned_abs())))
    }

    async fn messages(
        &self,
        run: RunId,
        after: Option<(u32, u16)>,
        limit: usize,
    ) -> StoreResult<Vec<Message>> {
        let (event, after_sink) = after.map_or((-1, -1), |(event, after)| (place(event), i32::from(after)));
        let parameters: [&(dyn ToSql + Sync); 4] = [&run.0, &event, &after_sink, &count(limit)];
        self.database.query(&sql::MESSAGES, &parameters).await?.iter().map(message).collect()
    }

    async fn redeliver(&self, run: RunId, named: Option<&[MessageId]>) -> StoreResult<Vec<Message>> {
        let named = named.map(|ids| ids.iter().filter(|id| id.run == run));
        let (events, sinks): (Option<Vec<_>>, Option<Vec<_>>) =
            named.map(|ids| ids.map(|id| (place(id.event), sink(id.sink))).unzip()).unzip();
        let rows = self.database.query(&sql::REDELIVER, &[&run.0, &events, &sinks]).await?;
        rows.iter().map(message).collect()
    }
}

/// The index of a sink as `smallint`; larger ones do not exist.
fn sink(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

/// A settlement as columns.
struct SettlementColumns<'a> {
    state: &'static str,
    wait_ms: Option<i64>,
    status: Option<i16>,
    error: Option<std::borrow::Cow<'a, str>>,
    is_given_back: bool,
}

impl<'a> SettlementColumns<'a> {
    fn of(settlement: &'a Settlement) -> Self {
        let state = match settlement {
            Settlement::Delivered { .. } => MessageState::Delivered,
            Settlement::Again { .. } | Settlement::GivenBack => MessageState::Pending,
            Settlement::Dead { .. } | Settlement::GivenUp { .. } => MessageState::Dead,
        };
        let state = name_of(&MessageState::NAMES, &state);
        let (mut wait_ms, is_given_back) = (None, *settlement == Settlement::GivenBack);
        let (status, error) = match settlement {
            Settlement::Delivered { status } => (*status, None),
            Settlement::Again { after, status, error } => {
                wait_ms = Some(milliseconds(*after));
                (*status, Some(text(error)))
            }
            Settlement::Dead { status, error } | Settlement::GivenUp { status, error } => {
                (*status, Some(text(error)))
            }
            Settlement::GivenBack => (None, None),
        };
        let status = status.and_then(|status| i16::try_from(status).ok());
        Self { state, wait_ms, status, error, is_given_back }
    }
}

fn id(row: &Row) -> StoreResult<MessageId> {
    let sink: i16 = column(row, "sink")?;
    let sink = sink.try_into().map_err(|_| StoreError::Other(anyhow!("column `sink` is out of range")))?;
    Ok(MessageId { run: RunId(column(row, "run_id")?), event: number::<i32>(row, "event")?, sink })
}

fn claimed(row: &Row) -> StoreResult<ClaimedMessage> {
    let lease = MessageLease { message: id(row)?, id: LeaseId(column(row, "lease_id")?) };
    let sink = StoredSink {
        kind: choice(&SinkKind::NAMES, column(row, "kind")?)?,
        destination: column(row, "destination")?,
        timeout: Duration::from_millis(number::<i32>(row, "timeout_ms")?.into()),
        document: column(row, "document")?,
    };
    Ok(ClaimedMessage {
        lease,
        try_number: number::<i32>(row, "attempts")?,
        sink,
        phase: choice(&Phase::NAMES, column(row, "phase")?)?,
        body: column(row, "payload")?,
    })
}

fn message(row: &Row) -> StoreResult<Message> {
    let status: Option<i16> = column(row, "last_status")?;
    let state = choice(&MessageState::NAMES, column(row, "state")?)?;
    Ok(Message {
        id: id(row)?,
        kind: choice(&SinkKind::NAMES, column(row, "kind")?)?,
        destination: column(row, "destination")?,
        phase: choice(&Phase::NAMES, column(row, "phase")?)?,
        state,
        tries: number::<i32>(row, "attempts")?,
        next_try_at: match column(row, "due_at")? {
            Timestamp::Value(time) if state == MessageState::Pending => Some(time),
            _ => None,
        },
        last_status: status.and_then(|status| status.try_into().ok()),
        last_error: column(row, "last_error")?,
        created_at: column(row, "created_at")?,
        settled_at: column(row, "settled_at")?,
    })
}
