//! The outbox in PostgreSQL: messages to sinks, which the statements about runs write.

use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::{Timestamp, ToSql};

use super::queries as sql;
use super::rows::{choice, column, number, text};
use super::{PostgresStore, count, milliseconds, place};
use crate::ids::{LeaseId, RunId};
use crate::runs::model::{
    ClaimedDelivery, Delivery, DeliveryId, DeliveryLease, DeliveryState, Phase, Settlement, SinkKind,
    StoredSink, name_of,
};
use crate::runs::outbox::{Outbox, Room};
use crate::runs::store::{Result, StoreError};

#[async_trait]
impl Outbox for PostgresStore {
    async fn claim_deliveries(&self, room: &Room, margin: Duration) -> Result<Vec<ClaimedDelivery>> {
        let (busy, left): (Vec<_>, Vec<_>) =
            room.left.iter().map(|(destination, left)| (text(destination), count(*left))).unzip();
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&count(room.total), &milliseconds(margin), &busy, &left, &count(room.per_destination)];
        let rows = self.database.query(&sql::CLAIM_DELIVERIES, &parameters).await?;
        rows.iter().map(claimed).collect()
    }

    async fn settle_delivery(&self, lease: DeliveryLease, settlement: &Settlement) -> Result<bool> {
        let Columns { state, wait_ms, status, error, is_given_back } = Columns::of(settlement);
        let ends_line = matches!(settlement, Settlement::GivenUp { .. });
        let (run, sink, event) =
            (lease.delivery.run.0, sink(lease.delivery.sink), place(lease.delivery.event));
        let parameters: [&(dyn ToSql + Sync); 10] =
            [&run, &sink, &event, &lease.id.0, &state, &wait_ms, &status, &error, &is_given_back, &ends_line];
        Ok(!self.database.query(&sql::SETTLE_DELIVERY, &parameters).await?.is_empty())
    }

    async fn next_delivery(&self) -> Result<Option<Duration>> {
        let rows = self.database.query(&sql::NEXT_DELIVERY, &[]).await?;
        let due: Option<i64> = rows.first().map(|row| column(row, "next_due_ms")).transpose()?;
        Ok(due.map(|milliseconds| Duration::from_millis(milliseconds.max(0).unsigned_abs())))
    }

    async fn deliveries(&self, run: RunId, after: Option<(u32, u16)>, limit: usize) -> Result<Vec<Delivery>> {
        let (event, after_sink) = after.map_or((-1, -1), |(event, after)| (place(event), i32::from(after)));
        let parameters: [&(dyn ToSql + Sync); 4] = [&run.0, &event, &after_sink, &count(limit)];
        self.database.query(&sql::DELIVERIES, &parameters).await?.iter().map(delivery).collect()
    }

    async fn redeliver(&self, run: RunId, named: Option<&[DeliveryId]>) -> Result<Vec<Delivery>> {
        let named = named.map(|ids| ids.iter().filter(|id| id.run == run));
        let (events, sinks): (Option<Vec<_>>, Option<Vec<_>>) =
            named.map(|ids| ids.map(|id| (place(id.event), sink(id.sink))).unzip()).unzip();
        let rows = self.database.query(&sql::REDELIVER, &[&run.0, &events, &sinks]).await?;
        rows.iter().map(delivery).collect()
    }
}

/// The place of a sink, of which there are none beyond the range of `smallint`.
fn sink(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

/// A settlement as columns.
struct Columns<'a> {
    state: &'static str,
    wait_ms: Option<i64>,
    status: Option<i16>,
    error: Option<std::borrow::Cow<'a, str>>,
    is_given_back: bool,
}

impl<'a> Columns<'a> {
    fn of(settlement: &'a Settlement) -> Self {
        let state = match settlement {
            Settlement::Delivered { .. } => DeliveryState::Delivered,
            Settlement::Again { .. } | Settlement::GivenBack => DeliveryState::Pending,
            Settlement::Dead { .. } | Settlement::GivenUp { .. } => DeliveryState::Dead,
        };
        let state = name_of(&DeliveryState::NAMES, &state);
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

fn id(row: &Row) -> Result<DeliveryId> {
    let sink: i16 = column(row, "sink")?;
    let sink = sink.try_into().map_err(|_| StoreError::Other(anyhow!("column `sink` is out of range")))?;
    Ok(DeliveryId { run: RunId(column(row, "run_id")?), event: number::<i32>(row, "event")?, sink })
}

fn claimed(row: &Row) -> Result<ClaimedDelivery> {
    let lease = DeliveryLease { delivery: id(row)?, id: LeaseId(column(row, "lease_id")?) };
    let sink = StoredSink {
        kind: choice(&SinkKind::NAMES, column(row, "kind")?)?,
        destination: column(row, "destination")?,
        timeout: Duration::from_millis(number::<i32>(row, "timeout_ms")?.into()),
        document: column(row, "document")?,
    };
    Ok(ClaimedDelivery {
        lease,
        attempt: number::<i32>(row, "attempts")?,
        sink,
        phase: choice(&Phase::NAMES, column(row, "phase")?)?,
        payload: column(row, "payload")?,
    })
}

fn delivery(row: &Row) -> Result<Delivery> {
    let status: Option<i16> = column(row, "last_status")?;
    let state = choice(&DeliveryState::NAMES, column(row, "state")?)?;
    Ok(Delivery {
        id: id(row)?,
        kind: choice(&SinkKind::NAMES, column(row, "kind")?)?,
        destination: column(row, "destination")?,
        phase: choice(&Phase::NAMES, column(row, "phase")?)?,
        state,
        attempts: number::<i32>(row, "attempts")?,
        next_attempt_at: match column(row, "due_at")? {
            Timestamp::Value(time) if state == DeliveryState::Pending => Some(time),
            _ => None,
        },
        last_status: status.and_then(|status| status.try_into().ok()),
        last_error: column(row, "last_error")?,
        created_at: column(row, "created_at")?,
        settled_at: column(row, "settled_at")?,
    })
}
