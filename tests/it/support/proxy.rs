//! A line that can be cut: a TCP proxy for tests of outages.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What happens to the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Everything is forwarded.
    Whole,
    /// Every connection is closed, new ones are refused.
    Cut,
    /// Connections stay open, but nothing gets through in the directions that are true.
    Frozen { to_server: bool, to_client: bool },
}

/// A proxy before one server, gone when it is dropped.
pub(crate) struct Proxy {
    port: u16,
    line: watch::Sender<Line>,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Forwards connections from a free port on 127.0.0.1.
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (line, changes) = watch::channel(Line::Whole);
        let task = AbortOnDropHandle::new(tokio::spawn(serve(listener, server, changes)));
        Self { port, line, _task: task }
    }

    /// The URL of a database on that server, led through the proxy.
    pub(crate) fn url_for(&self, url: &str) -> String {
        let (head, tail) = url.split_once('@').unwrap();
        let (_, tail) = tail.split_once('/').unwrap();
        format!("{head}@127.0.0.1:{}/{tail}", self.port)
    }

    /// Closes every connection, and refuses new ones; done when it does.
    pub(crate) async fn cut(&self) {
        self.line.send_replace(Line::Cut);
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    /// Lets nothing through any more, while everything stays open.
    pub(crate) fn freeze(&self) {
        self.line.send_replace(Line::Frozen { to_server: true, to_client: true });
    }

    /// Lets nothing through from the server, as when its answers are lost.
    pub(crate) fn freeze_answers(&self) {
        self.line.send_replace(Line::Frozen { to_server: false, to_client: true });
    }

    /// Lets everything through again; what was frozen comes late.
    pub(crate) fn heal(&self) {
        self.line.send_replace(Line::Whole);
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, mut changes: watch::Receiver<Line>) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    loop {
        let Some(open) = &listener else {
            if changes.wait_for(|line| *line != Line::Cut).await.is_err() {
                return;
            }
            listener = Some(TcpListener::bind(address).await.unwrap());
            continue;
        };
        tokio::select! {
            accepted = open.accept() => {
                if let Ok((client, _)) = accepted {
                    tokio::spawn(connect(client, server, changes.clone()));
                }
            }
            cut = is_cut(changes.clone()) => match cut {
                true => listener = None, // only then are connections refused
                false => return,
            },
        }
    }
}

/// Waits for the cut; false if the proxy is gone before.
async fn is_cut(mut changes: watch::Receiver<Line>) -> bool {
    changes.wait_for(|line| *line == Line::Cut).await.is_ok()
}

async fn connect(client: TcpStream, server: SocketAddr, changes: watch::Receiver<Line>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let there = forward(from_client, to_server, changes.clone(), |line| {
        matches!(line, Line::Frozen { to_server: true, .. })
    });
    let back = forward(from_server, to_client, changes.clone(), |line| {
        matches!(line, Line::Frozen { to_client: true, .. })
    });
    tokio::select! {
        _ = there => {}
        _ = back => {}
        _ = is_cut(changes) => {}
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut changes: watch::Receiver<Line>,
    is_frozen: impl Fn(&Line) -> bool,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let is_open = changes.wait_for(|line| !is_frozen(line)).await.is_ok();
        if !is_open || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
