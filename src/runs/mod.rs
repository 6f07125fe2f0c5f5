//! Durable runs: the model ([`Run`], [`RunEvent`], [`ResultRecord`]), the service of the API and the command line
//! ([`RunService`]), the streams of events (`watch`), and the deletion of old runs ([`keep_for`]).
//!
//! Nothing here knows a database. [`Runs`], [`Events`] and [`Retention`] are the ports; `storage` has the adapters,
//! which announce changes by [`Hints`].

mod ending;
mod error;
mod event;
mod feed;
mod hints;
mod model;
mod port;
mod recorder;
mod result;
mod retention;
mod service;
mod watch;

pub use ending::Ending;
pub use error::{StoreError, StoreResult};
pub use event::{EventData, EventKind, ResultDigest, RunEvent};
pub use feed::{Events, FeedEvent, FeedPage, FeedPosition};
pub use hints::{Hint, HintReceiver, Hints};
pub(crate) use model::DEADLINE_EXCEEDED;
pub use model::{Failure, Progress, Run, RunStatus, Submitted};
pub use port::{ResultFilter, Retried, RunFilter, Runs};
pub(crate) use recorder::{Recorder, summarise};
pub use result::{
    EvaluatorType, MetricSummary, ResultCounts, ResultRecord, ResultStatus, StoredResult, Summary,
};
pub use retention::{Deletion, Retention, keep_for};
pub use service::RunService;

pub use crate::evaluation::Verdict;
