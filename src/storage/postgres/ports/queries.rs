//! The statements of the ports with a fixed list of parameters, and the types of these.

use tokio_postgres::types::Type;

use crate::storage::postgres::query::query;
use crate::storage::postgres::{ParameterList, Query};

/// The parameters of both statements that list runs by a filter.
const RUN_FILTER: &[&ParameterList] = &[&ParameterList::unnamed(&[
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT,
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
    Type::UUID,
    Type::INT8,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
])];

pub(super) static FIND: Query = query!("runs/find", [UUID_ARRAY, TEXT_ARRAY]);
pub(super) static GET: Query = query!("runs/get", [UUID]);
pub(super) static SPEC: Query = query!("runs/spec", [UUID]);
pub(super) static LIST: Query = query!("runs/list", lists RUN_FILTER);
pub(super) static LIST_UNFINISHED: Query = query!("runs/list_unfinished", lists RUN_FILTER);
pub(super) static RESULTS: Query =
    query!("runs/results", [UUID, TEXT_ARRAY, TEXT_ARRAY, INT4, INT8, TEXT_ARRAY]);
pub(super) static CANCEL: Query = query!("runs/cancel", [UUID, TEXT, TEXT]);
pub(super) static RETRY: Query = query!("runs/retry", [UUID]);
pub(super) static DELETE: Query = query!("runs/delete", [UUID, INT8, INT8]);
pub(super) static MISSING: Query = query!("runs/missing", [UUID_ARRAY]);
pub(super) static CLAIM: Query = query!("queue/claim", [TEXT, INT8, INT8]);
pub(super) static HEARTBEAT: Query = query!("queue/heartbeat", [UUID_ARRAY, UUID_ARRAY, INT8]);
pub(super) static REQUEUE: Query = query!("queue/requeue", [UUID, UUID, INT8, TEXT, TEXT]);
pub(super) static RELEASE: Query = query!("queue/release", [UUID_ARRAY, UUID_ARRAY, TEXT, TEXT]);
pub(super) static REAP: Query = query!("queue/reap", [TEXT, TEXT, TEXT, TEXT]);
pub(super) static SCAN: Query = query!("queue/scan");
pub(super) static EVENTS: Query = query!("events/list", [UUID_ARRAY, INT4_ARRAY, INT8]);
pub(super) static FEED: Query = query!("events/feed", [TEXT, UUID, INT4, INT8]);
pub(super) static FEED_END: Query = query!("events/feed_end");
pub(super) static ADOPT: Query = query!("events/adopt");
pub(super) static CLAIM_MESSAGES: Query = query!("outbox/claim", [INT8, INT8, TEXT_ARRAY, INT8_ARRAY, INT8]);
pub(super) static SETTLE_MESSAGE: Query =
    query!("outbox/settle", [UUID, INT2, INT4, UUID, TEXT, INT8, INT2, TEXT, BOOL, BOOL]);
pub(super) static NEXT_MESSAGE: Query = query!("outbox/next");
pub(super) static MESSAGES: Query = query!("outbox/list", [UUID, INT4, INT4, INT8]);
pub(super) static REDELIVER: Query = query!("outbox/redeliver", [UUID, INT4_ARRAY, INT2_ARRAY]);
pub(super) static CHECK: Query = query!("check");

/// All statements of this file.
pub(in crate::storage::postgres) static ALL: [&Query; 26] = [
    &FIND,
    &GET,
    &SPEC,
    &LIST,
    &LIST_UNFINISHED,
    &RESULTS,
    &CANCEL,
    &RETRY,
    &DELETE,
    &MISSING,
    &CLAIM,
    &HEARTBEAT,
    &REQUEUE,
    &RELEASE,
    &REAP,
    &SCAN,
    &EVENTS,
    &FEED,
    &FEED_END,
    &ADOPT,
    &CLAIM_MESSAGES,
    &SETTLE_MESSAGE,
    &NEXT_MESSAGE,
    &MESSAGES,
    &REDELIVER,
    &CHECK,
];
