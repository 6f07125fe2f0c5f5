//! The one connection that receives notifications.
//!
//! It lies outside the pool, because the pool's driver throws notifications away, and goes to the session server, since
//! behind a transaction pooler nothing would arrive. A notification is only a hint: those sent while the line was down
//! are lost, so [`Notice::Reconnected`] tells the receiver to look for itself. The same notice makes up for messages
//! that a slow receiver had no room for; the socket is always drained, and memory is bounded by the channel.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Notification};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::session::{Connector, Driver};
use super::{DatabaseError, DatabaseSettings};
use crate::pace::Pace;

/// Pauses between attempts to reconnect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a listener has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// From now on messages are received; earlier ones may have been missed.
    Reconnected,
    /// Someone notified a channel.
    Message {
        /// As it was named to [`Listener::spawn`].
        channel: &'static str,
        /// What came with it.
        payload: String,
    },
}

/// A task that listens, and connects again whenever its connection is lost.
pub struct Listener {
    connector: Connector,
    channels: Vec<Channel>,
    outbox: Outbox,
    ping_interval: Duration,
}

/// A channel, by our name and by the one it has in the database.
struct Channel {
    name: &'static str,
    full: String,
}

impl Listener {
    /// Starts to listen on channels of the configured schema, until the token is cancelled or the receiver dropped.
    ///
    /// The database need not be up: the first connection is made like every later one.
    ///
    /// # Errors
    /// `Other` if the certificates that the settings name cannot be used.
    pub fn spawn(
        settings: &DatabaseSettings,
        channels: &[&'static str],
        sender: mpsc::Sender<Notice>,
        shutdown: CancellationToken,
    ) -> Result<JoinHandle<()>, DatabaseError> {
        let named = channels.iter().map(|name| Channel { name, full: settings.schema.channel(name) });
        let listener = Self {
            connector: Connector::new(settings.session_dsn())?,
            channels: named.collect(),
            outbox: Outbox::new(sender),
            ping_interval: settings.ping_interval,
        };
        Ok(tokio::spawn(async move {
            let closed = listener.outbox.sender.closed();
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = closed => {}
                never = listener.run() => match never {},
            }
        }))
    }

    /// Listens over one connection after the other.
    async fn run(&self) -> Infallible {
        let mut pace = Pace::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let error = match self.listen(&mut pace).await {
                Err(error) => error,
                Ok(never) => match never {},
            };
            if pace.failed() {
                warn!("notifications from the database are interrupted: {error}");
            }
            sleep(pace.pause()).await;
        }
    }

    /// Listens over one connection, until it fails.
    async fn listen(&self, pace: &mut Pace) -> Result<Infallible, DatabaseError> {
        let (client, driver) = self.connector.open().await?;
        let attend = async {
            self.answered(client.batch_execute(&self.listen_sql())).await?;
            if pace.succeeded() {
                info!("notifications from the database are received again");
            }
            self.outbox.lose();
            self.ping(&client).await
        };
        tokio::select! {
            outcome = attend => outcome,
            error = self.receive(driver) => Err(error),
            never = self.outbox.make_up() => match never {},
        }
    }

    /// Names of channels cannot be parameters; these are our own constants after a checked schema.
    fn listen_sql(&self) -> String {
        self.channels.iter().map(|channel| format!("LISTEN \"{}\";", channel.full)).collect()
    }

    /// Drives the connection and hands on what comes, until it ends.
    async fn receive(&self, mut driver: Driver) -> DatabaseError {
        loop {
            match poll_fn(|context| driver.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(notification))) => self.deliver(&notification),
                Some(Ok(_)) => {} // a notice or a warning
                Some(Err(error)) => return error.into(),
                None => return DatabaseError::Unavailable("the connection was closed".to_owned()),
            }
        }
    }

    fn deliver(&self, notification: &Notification) {
        let channel = self.channels.iter().find(|channel| channel.full == notification.channel());
        if let Some(channel) = channel {
            let payload = notification.payload().to_owned();
            self.outbox.post(Notice::Message { channel: channel.name, payload });
        }
    }

    /// Tries the line from time to time, until it does not answer. TCP's own probes end at the first hop, which may be
    /// a proxy.
    async fn ping(&self, client: &Client) -> Result<Infallible, DatabaseError> {
        loop {
            sleep(self.ping_interval).await;
            self.answered(client.check_connection()).await?;
        }
    }

    async fn answered<T>(
        &self,
        command: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, DatabaseError> {
        let limit = self.ping_interval / 2;
        match timeout(limit, command).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(DatabaseError::Unavailable(format!("no answer within {limit:?}"))),
        }
    }
}

/// The way to the receiver, which is never waited for.
struct Outbox {
    sender: mpsc::Sender<Notice>,
    /// Whether something was not delivered, so that `Reconnected` is due and covers all that comes before it.
    has_lost: AtomicBool,
    lost: Notify,
}

impl Outbox {
    fn new(sender: mpsc::Sender<Notice>) -> Self {
        Self { sender, has_lost: AtomicBool::new(false), lost: Notify::new() }
    }

    fn post(&self, notice: Notice) {
        if self.has_lost.load(Ordering::Relaxed) || self.sender.try_send(notice).is_err() {
            self.lose();
        }
    }

    fn lose(&self) {
        self.has_lost.store(true, Ordering::Relaxed);
        self.lost.notify_one();
    }

    /// Says `Reconnected` when it is due and there is room for it; runs beside whatever posts.
    async fn make_up(&self) -> Infallible {
        loop {
            self.lost.notified().await;
            // Only a dropped receiver refuses, and with it the listener ends.
            if self.has_lost.load(Ordering::Relaxed)
                && let Ok(permit) = self.sender.reserve().await
            {
                self.has_lost.store(false, Ordering::Relaxed);
                permit.send(Notice::Reconnected);
            }
        }
    }
}
