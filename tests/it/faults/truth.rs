//! What the tables say in the end.

use std::collections::{BTreeMap, HashSet};

use agentevals::ids::RunId;
use serde_json::Value;
use tokio_postgres::Client;

/// What the tables say about a run.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) outcome: Option<String>,
    pub(super) attempt: i32,
    /// Rows in the queue.
    pub(super) queued: i64,
    pub(super) results: Vec<StoredResult>,
    pub(super) events: Vec<StoredEvent>,
}

#[derive(Debug)]
pub(super) struct StoredResult {
    pub(super) ordinal: i32,
    pub(super) attempt: i32,
    pub(super) evaluator: String,
    pub(super) score: Option<f64>,
}

#[derive(Debug)]
pub(super) struct StoredEvent {
    pub(super) seq: i32,
    pub(super) kind: String,
    /// Seconds since 1970.
    pub(super) at: f64,
    pub(super) data: Value,
}

/// All runs of a database.
pub(super) async fn lives(client: &Client) -> BTreeMap<RunId, Life> {
    let mut lives: BTreeMap<RunId, Life> = BTreeMap::new();
    let sql = "SELECT run_id, outcome, coalesce(attempt, 0)::integer,
        (SELECT count(*) FROM agentevals.run_queue AS q WHERE q.run_id = r.run_id)
        FROM agentevals.run AS r";
    for row in client.query(sql, &[]).await.unwrap() {
        let life = Life { outcome: row.get(1), attempt: row.get(2), queued: row.get(3), ..Life::default() };
        lives.insert(RunId(row.get(0)), life);
    }
    let sql = "SELECT run_id, ordinal, attempt::integer, evaluator_name, score
        FROM agentevals.result ORDER BY run_id, ordinal";
    for row in client.query(sql, &[]).await.unwrap() {
        let (ordinal, attempt, evaluator, score) = (row.get(1), row.get(2), row.get(3), row.get(4));
        let life = lives.get_mut(&RunId(row.get(0))).unwrap();
        life.results.push(StoredResult { ordinal, attempt, evaluator, score });
    }
    let sql = "SELECT run_id, seq, kind, extract(EPOCH FROM at)::double precision, data::text
        FROM agentevals.run_event ORDER BY run_id, seq";
    for row in client.query(sql, &[]).await.unwrap() {
        let data = serde_json::from_str(row.get(4)).unwrap();
        let event = StoredEvent { seq: row.get(1), kind: row.get(2), at: row.get(3), data };
        lives.get_mut(&RunId(row.get(0))).unwrap().events.push(event);
    }
    lives
}

/// What the tables say about one run.
pub(super) async fn life(client: &Client, run: RunId) -> Life {
    lives(client).await.remove(&run).expect("the run is stored")
}

impl Life {
    /// Checks what holds for every run that has ended: it ended once, its events are numbered without gap, each of
    /// its results is there once, of the attempt that ended it, and was told of once by that attempt.
    pub(super) fn assert_ended(&self, outcome: &str, results: usize) -> &Self {
        assert_eq!(self.outcome.as_deref(), Some(outcome), "{self:#?}");
        assert_eq!(self.queued, 0, "{self:#?}");
        let is_numbered = self.events.iter().zip(1..).all(|(event, number)| event.seq == number);
        assert!(is_numbered, "{self:#?}");
        let is_end =
            |event: &StoredEvent| ["run.succeeded", "run.failed", "run.cancelled"].contains(&&*event.kind);
        assert_eq!(self.events.iter().filter(|event| is_end(event)).count(), 1, "{self:#?}");
        let last = self.events.last().unwrap();
        assert_eq!(last.kind, format!("run.{outcome}"), "{self:#?}");
        assert_eq!(self.kinds("run.queued").count(), 1, "{self:#?}");

        let places: Vec<_> = self.results.iter().map(|result| result.ordinal).collect();
        assert_eq!(places, (0..results as i32).collect::<Vec<_>>(), "{self:#?}");
        assert!(self.results.iter().all(|result| result.attempt == self.attempt), "{self:#?}");
        let started = self.events.iter().rposition(|event| event.kind == "run.started");
        let told = self.events[started.unwrap_or(0)..].iter().filter(|event| event.kind == "result.created");
        let told: Vec<_> = told.map(|event| event.data["result"]["resultId"].to_string()).collect();
        assert_eq!(told.len(), results, "{self:#?}");
        assert_eq!(told.iter().collect::<HashSet<_>>().len(), results, "{self:#?}");
        self
    }

    /// Events of a kind.
    pub(super) fn kinds(&self, kind: &str) -> impl Iterator<Item = &StoredEvent> {
        self.events.iter().filter(move |event| event.kind == kind)
    }

    /// Who claimed the run, in order.
    pub(super) fn workers(&self) -> Vec<&str> {
        self.kinds("run.started").map(|event| event.data["workerId"].as_str().unwrap()).collect()
    }

    /// The score of the evaluator that waits, of a run with one unit.
    pub(super) fn gate_score(&self) -> f64 {
        let found = self.results.iter().find(|result| result.evaluator == "gate");
        found.and_then(|result| result.score).unwrap_or_else(|| panic!("{self:#?}"))
    }
}
