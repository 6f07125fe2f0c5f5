//! The connection that receives notifications.
//!
//! It is not in the pool, whose driver tasks discard notifications, and it does not go through a transaction pooler,
//! which would not pass them on. A notification is only a hint: those sent while the connection was down are lost, so
//! [`Notice::Reconnected`] tells the receiver to look at the tables itself. The same notice replaces messages for which
//! a slow receiver had no room. So the socket is always drained, and the channel bounds the memory.

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

/// A message from a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Messages are received from now on; earlier ones may be lost.
    Reconnected,
    /// A notification.
    Message {
        /// The channel, as it was named to [`Listener::spawn`].
        channel: &'static str,
        /// The payload.
        payload: String,
    },
}

/// A task that listens, and reconnects when its connection is lost.
pub struct Listener {
    connector: Connector,
    channels: Vec<Channel>,
    mailbox: Mailbox,
    ping_interval: Duration,
}

/// A channel: our name, and the full name in the database, which begins with the schema.
struct Channel {
    name: &'static str,
    full: String,
}

impl Listener {
    /// Starts to listen on channels of the configured schema, until the token is cancelled or the receiver is dropped.
    ///
    /// The database need not be up, since the first connection is retried like every later one.
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
            mailbox: Mailbox::new(sender),
            ping_interval: settings.ping_interval,
        };
        Ok(tokio::spawn(async move {
            let closed = listener.mailbox.sender.closed();
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
            self.mailbox.lose();
            self.ping(&client).await
        };
        tokio::select! {
            outcome = attend => outcome,
            error = self.receive(driver) => Err(error),
            never = self.mailbox.make_up() => match never {},
        }
    }

    /// `LISTEN` takes no parameters. Its names are safe in SQL: a checked schema and our own constants.
    fn listen_sql(&self) -> String {
        self.channels.iter().map(|channel| format!("LISTEN \"{}\";", channel.full)).collect()
    }

    /// Drives the connection and hands on its notifications, until the connection ends.
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
            self.mailbox.post(Notice::Message { channel: channel.name, payload });
        }
    }

    /// Pings the server until it does not answer. TCP keepalives are not enough: a proxy would answer them.
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

/// The channel to the receiver. A full one is never waited for, since the socket has to be drained.
struct Mailbox {
    sender: mpsc::Sender<Notice>,
    /// Set when a notice found no room. Later ones are dropped too, until `Reconnected` could be sent in their place.
    has_lost: AtomicBool,
    lost: Notify,
}

impl Mailbox {
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

    /// Sends `Reconnected` in place of lost notices once there is room; runs concurrently with `post`.
    async fn make_up(&self) -> Infallible {
        loop {
            self.lost.notified().await;
            // `reserve` fails only if the receiver is dropped, which ends the listener.
            if self.has_lost.load(Ordering::Relaxed)
                && let Ok(permit) = self.sender.reserve().await
            {
                self.has_lost.store(false, Ordering::Relaxed);
                permit.send(Notice::Reconnected);
            }
        }
    }
}
