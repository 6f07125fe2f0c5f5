//! An HTTP server in the hands of a test: it answers as it is told, misbehaves when it is told to, and remembers
//! what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::runs::PATIENCE;

/// What the server was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case, in the order sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The value of a header, named in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    Whole(Vec<u8>),
    /// Without end.
    Endless,
    /// Begins and does not go on.
    Stalls,
    /// Not even a status.
    Nothing,
    /// The connection is closed without a word.
    Closed,
}

impl Reply {
    /// An answer without a body.
    pub(crate) fn status(status: u16) -> Self {
        Self::text(status, "")
    }

    /// An answer with a body.
    pub(crate) fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Whole(body.into()) }
    }

    /// An answer with JSON.
    pub(crate) fn json(body: &serde_json::Value) -> Self {
        Self::text(200, body.to_string()).header("Content-Type", "application/json")
    }

    /// A redirect to `location`.
    pub(crate) fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::status(status).header("Location", location)
    }

    /// A body that never ends.
    pub(crate) fn endless() -> Self {
        Self { status: 200, headers: Vec::new(), body: Body::Endless }
    }

    /// The same answer with another status.
    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// A body that begins and never goes on.
    pub(crate) fn stalling() -> Self {
        Self { status: 200, headers: Vec::new(), body: Body::Stalls }
    }

    /// No answer, while the connection stays open.
    pub(crate) fn hanging() -> Self {
        Self { status: 0, headers: Vec::new(), body: Body::Nothing }
    }

    /// No answer, and the end of the connection.
    pub(crate) fn closing() -> Self {
        Self { status: 0, headers: Vec::new(), body: Body::Closed }
    }

    /// The same answer with one more header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

type Answers = dyn Fn(usize, &Request) -> Reply + Send + Sync;

struct Shared {
    answers: Box<Answers>,
    requests: Mutex<Vec<Request>>,
    /// How many requests there were.
    count: watch::Sender<usize>,
    /// How many connections are open.
    open: watch::Sender<usize>,
}

/// A server on a free port of 127.0.0.1, gone with its connections when it is dropped.
pub(crate) struct HttpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

impl HttpServer {
    /// Answers each request, counted from 0 in the order of arrival, as `answers` says.
    pub(crate) async fn start(answers: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answers: Box::new(answers),
            requests: Mutex::default(),
            count: watch::Sender::new(0),
            open: watch::Sender::new(0),
        });
        let task = AbortOnDropHandle::new(tokio::spawn(serve(listener, shared.clone())));
        Self { address, shared, _task: task }
    }

    /// Gives these answers in turn, and the last one again and again.
    pub(crate) async fn scripted(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<_> = replies.into_iter().collect();
        Self::start(move |number, _| replies[number.min(replies.len() - 1)].clone()).await
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, which begins with `/`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The only request there was.
    pub(crate) fn only_request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.into_iter().next().unwrap()
    }

    /// Waits until there were so many requests; answers with all there were.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Request> {
        let mut counted = self.shared.count.subscribe();
        let come = timeout(PATIENCE, counted.wait_for(|so_far| *so_far >= count)).await;
        let _ = come.expect("the requests come").unwrap();
        self.requests()
    }

    /// Waits until no connection is open.
    pub(crate) async fn wait_until_left(&self) {
        let mut open = self.shared.open.subscribe();
        let _ = timeout(PATIENCE, open.wait_for(|open| *open == 0)).await.expect("they are closed").unwrap();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        shared.open.send_modify(|open| *open += 1);
        connections.spawn(async move {
            // An error is the client's end of the connection.
            let _ = converse(stream, &shared).await;
            shared.open.send_modify(|open| *open -= 1);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Answers the requests of one connection, one after the other.
async fn converse(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        let number = {
            let mut requests = shared.requests.lock().unwrap();
            requests.push(request.clone());
            requests.len() - 1
        };
        let reply = (shared.answers)(number, &request);
        shared.count.send_replace(number + 1);
        if !answer(&mut stream, reply).await? {
            return Ok(());
        }
    }
    Ok(())
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok());
    request.body.resize(length.unwrap_or(0), 0);
    stream.read_exact(&mut request.body).await?;
    Ok(Some(request))
}

/// Sends an answer; says whether the connection goes on.
async fn answer(stream: &mut BufReader<TcpStream>, reply: Reply) -> std::io::Result<bool> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match reply.body {
        Body::Whole(body) => {
            head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
            stream.flush().await?;
            Ok(true)
        }
        Body::Endless => {
            stream.write_all(format!("{head}\r\n").as_bytes()).await?;
            loop {
                stream.write_all(&[b' '; 16 << 10]).await?;
            }
        }
        Body::Stalls => {
            stream.write_all(format!("{head}Content-Length: 1000\r\n\r\n{{").as_bytes()).await?;
            stream.flush().await?;
            until_client_leaves(stream).await
        }
        Body::Nothing => until_client_leaves(stream).await,
        Body::Closed => Ok(false),
    }
}

async fn until_client_leaves(stream: &mut BufReader<TcpStream>) -> std::io::Result<bool> {
    let mut byte = [0];
    // Longer than any test; the server's own end comes before.
    let _ = timeout(Duration::from_secs(600), stream.read(&mut byte)).await;
    Ok(false)
}
