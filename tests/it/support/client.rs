//! A small client of the HTTP API, as others would write it.

use std::net::SocketAddr;

use agentevals::ids::RunId;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;

use super::eventually;

/// The API of one process.
#[derive(Clone)]
pub(crate) struct Api {
    http: Client,
    base: String,
}

impl Api {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { http: http(), base: format!("http://{address}") }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.base))
    }

    /// Submits a run; answers with the status and what was said, or with nothing if no answer came.
    pub(crate) async fn try_submit(&self, submission: &Value) -> Option<(u16, Value)> {
        answer(self.submission(submission)).await
    }

    /// The same, to be answered when the run has ended.
    pub(crate) async fn try_submit_and_wait(&self, submission: &Value) -> Option<(u16, Value)> {
        answer(self.submission(submission).header("prefer", "wait=60")).await
    }

    fn submission(&self, submission: &Value) -> RequestBuilder {
        let request = self.http.post(format!("{}/api/runs", self.base));
        request.header("content-type", "application/json").body(submission.to_string())
    }

    /// Submits a run that is taken.
    pub(crate) async fn submit(&self, submission: &Value) -> RunId {
        let (status, answer) = self.try_submit(submission).await.unwrap();
        assert_eq!(status, 202, "{answer:#}");
        answer["data"]["runId"].as_str().unwrap().parse().unwrap()
    }

    /// Submits a run until it is taken, as one does who got no answer.
    pub(crate) async fn submit_persistently(&self, submission: &Value) -> Value {
        eventually("the run is taken", || async {
            let (status, answer) = self.try_submit(submission).await?;
            assert!([202, 503].contains(&status), "{status}: {answer:#}");
            (status == 202).then(|| answer["data"].clone())
        })
        .await
    }

    /// The run, if there is an answer.
    pub(crate) async fn run(&self, id: RunId) -> Option<Value> {
        let (status, mut answer) = answer(self.get(&format!("/api/runs/{id}"))).await?;
        (status == 200).then(|| answer["data"].take())
    }

    /// The run once it has ended.
    pub(crate) async fn finished(&self, id: RunId) -> Value {
        eventually("the run ends", || async {
            let run = self.run(id).await?;
            let is_over = ["succeeded", "failed", "cancelled"].iter().any(|status| run["status"] == *status);
            is_over.then_some(run)
        })
        .await
    }

    /// What is answered at a path, whatever it is.
    pub(crate) async fn text(&self, path: &str) -> String {
        self.get(path).send().await.unwrap().text().await.unwrap()
    }

    /// The results of a run.
    pub(crate) async fn results(&self, id: RunId) -> Vec<Value> {
        let (status, answer) = answer(self.get(&format!("/api/runs/{id}/results"))).await.unwrap();
        assert_eq!(status, 200, "{answer:#}");
        answer["data"].as_array().unwrap().clone()
    }

    /// Asks for a run to be stopped.
    pub(crate) async fn cancel(&self, id: RunId) -> Value {
        self.try_cancel(id).await.unwrap()
    }

    /// The same, if there is an answer.
    pub(crate) async fn try_cancel(&self, id: RunId) -> Option<Value> {
        let request = self.http.post(format!("{}/api/runs/{id}/cancel", self.base));
        let (status, mut answer) = answer(request).await?;
        assert_eq!(status, 200, "{answer:#}");
        Some(answer["data"].take())
    }

    /// Follows a run after an event, if the process answers and there is anything to come.
    pub(crate) async fn follow(&self, id: RunId, after: Option<&str>) -> Option<Follower> {
        self.follow_path(&format!("/api/runs/{id}/events"), after).await
    }

    /// Follows all runs after an event, or from now on.
    pub(crate) async fn follow_all(&self, after: Option<&str>) -> Option<Follower> {
        self.follow_path("/api/runs/events", after).await
    }

    async fn follow_path(&self, path: &str, after: Option<&str>) -> Option<Follower> {
        let mut request = self.get(path);
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after);
        }
        let response = request.send().await.ok()?;
        match response.status().as_u16() {
            200 => Some(Follower { response, buffer: Vec::new() }),
            status => {
                assert!([204, 503].contains(&status), "{path}: {status}");
                None
            }
        }
    }
}

/// A client that asks nobody else.
pub(crate) fn http() -> Client {
    // The client wants one, although nothing here is encrypted; only the first call installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

async fn answer(request: RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))))
}

/// An event that was told.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedEvent {
    pub(crate) id: String,
    pub(crate) data: Value,
}

/// A stream of events.
pub(crate) struct Follower {
    response: Response,
    buffer: Vec<u8>,
}

impl Follower {
    /// The next event; none when the stream has ended, whichever way. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<ReceivedEvent> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(told) = told(std::str::from_utf8(&block).unwrap()) {
                    return Some(told);
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.buffer.extend_from_slice(&chunk);
        }
    }
}

/// The event of a block; none of a comment.
fn told(block: &str) -> Option<ReceivedEvent> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let data = serde_json::from_str(field("data")?).unwrap();
    Some(ReceivedEvent { id: field("id")?.to_owned(), data })
}
