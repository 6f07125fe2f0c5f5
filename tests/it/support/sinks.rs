//! Sinks of runs and messages to them, in few words.

use std::time::Duration;

use agentevals::ids::RunId;
use agentevals::outbox::{ClaimedMessage, Message, MessageState, Room, Settlement};
use agentevals::spec::{SinkKind, StoredSink, Submission};
use serde_json::{Value, json};

use super::runs::{TestStore, new_run};

/// Margin of leases in tests that do not wait for their end.
pub(crate) const MARGIN: Duration = Duration::from_secs(600);

/// A webhook of a host, stored.
pub(crate) fn webhook_to(host: &str) -> StoredSink {
    let sink = json!({"sink": {"kind": "http_webhook", "url": format!("https://{host}/hook")}});
    StoredSink {
        kind: SinkKind::HttpWebhook,
        destination: format!("https://{host}"),
        timeout: Duration::from_millis(1),
        document: sink.to_string(),
    }
}

/// A run with so many webhooks.
pub(crate) fn with_sinks(count: usize) -> Submission {
    Submission { sinks: (0..count).map(|number| webhook_to(&format!("h{number}"))).collect(), ..new_run() }
}

/// Room for everything.
pub(crate) fn room() -> Room {
    Room { total: 1000, per_destination: 1000, ..Room::default() }
}

/// Delivered with 200.
pub(crate) const DELIVERED: Settlement = Settlement::Delivered { status: Some(200) };

/// Given up.
pub(crate) fn dead() -> Settlement {
    Settlement::Dead { status: Some(400), error: "answered 400".to_owned() }
}

/// Failed for now.
pub(crate) fn again(after: Duration) -> Settlement {
    Settlement::Again { after, status: Some(503), error: "answered 503".to_owned() }
}

impl TestStore {
    /// Claims every message that is due; by run, sink and event.
    pub(crate) async fn claim_due(&self) -> Vec<ClaimedMessage> {
        let mut claimed = self.claim_messages(&room(), MARGIN).await.unwrap();
        claimed.sort_by_key(|claimed| (claimed.lease.message.run, claimed.lease.message.sink));
        claimed
    }

    /// Claims the only message that is due.
    pub(crate) async fn claim_message(&self) -> ClaimedMessage {
        let mut claimed = self.claim_due().await;
        assert_eq!(claimed.len(), 1, "{claimed:#?}");
        claimed.remove(0)
    }

    /// Settles a message whose lease is held.
    pub(crate) async fn settled(&self, claimed: &ClaimedMessage, settlement: &Settlement) {
        assert!(self.settle_message(claimed.lease, settlement).await.unwrap());
    }

    /// All messages of a run.
    pub(crate) async fn all_messages(&self, run: RunId) -> Vec<Message> {
        self.messages(run, None, 100_000).await.unwrap()
    }
}

/// Event, sink and state of messages.
pub(crate) fn states(messages: &[Message]) -> Vec<(u32, u16, MessageState)> {
    messages.iter().map(|message| (message.id.event, message.id.sink, message.state)).collect()
}

/// The body of a message.
pub(crate) fn body(claimed: &ClaimedMessage) -> Value {
    serde_json::from_str(&claimed.body).unwrap()
}

/// A run with these sinks, as if they had been submitted.
pub(crate) fn with_written(sinks: impl IntoIterator<Item = Value>, refs: &Value) -> Submission {
    Submission { sinks: sinks.into_iter().map(|sink| stored(&sink, refs)).collect(), ..new_run() }
}

fn stored(sink: &Value, refs: &Value) -> StoredSink {
    let text = |name: &str| sink[name].as_str().unwrap_or_default().to_owned();
    let kind = text("kind");
    let (_, kind) = SinkKind::NAMES.into_iter().find(|(name, _)| *name == kind).unwrap();
    let destination = match kind {
        SinkKind::Stdout => "stdout".to_owned(),
        SinkKind::File => text("path"),
        SinkKind::HttpWebhook => reqwest::Url::parse(&text("url")).unwrap().origin().ascii_serialization(),
    };
    let timeout = Duration::from_secs_f64(sink["timeout_s"].as_f64().unwrap_or(10.0));
    let document = json!({"sink": sink, "credentialRefs": refs}).to_string();
    StoredSink { kind, destination, timeout, document }
}
