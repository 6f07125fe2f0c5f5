//! Who is let in, at a real server: tokens from a file that changes, requests that are refused before they are sent whole,
//! and runs that are kept for a time only.

use std::fs;
use std::path::{Path, PathBuf};

use agentevals::ids::RunId;
use reqwest::StatusCode;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::eventually;
use super::work::quick;
use crate::support::client::http;
use crate::support::postgres::TestDb;
use crate::support::processes::{Launch, Process, serve};
use crate::support::{LONG_PATIENCE, agentevals};

/// A token and the line for the server's file, as the program makes them.
fn made(name: &str, scopes: &[&str]) -> (String, String) {
    let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
    let output = agentevals().args(["token", name]).args(scopes).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let [token, line] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    (token.to_owned(), line.to_owned())
}

/// A file of tokens.
struct File(TempDir);

impl File {
    fn new(lines: &str) -> Self {
        let file = Self(TempDir::new().unwrap());
        file.write(lines);
        file
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("tokens")
    }

    /// Replaces it, as deployments do.
    fn write(&self, lines: &str) {
        let next = self.0.path().join("next");
        fs::write(&next, lines).unwrap();
        fs::rename(next, self.path()).unwrap();
    }
}

fn with_tokens(launch: Launch, file: &Path) -> Launch {
    launch.with(&["--tokens-file", file.to_str().unwrap()])
}

/// What a server answers to one who lists the runs.
async fn listing(process: &Process, token: &str) -> StatusCode {
    let port = process.address().unwrap().port();
    let request = http().get(format!("http://127.0.0.1:{port}/api/runs")).bearer_auth(token);
    request.send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_tokens_listens_to_other_machines_and_lets_in_who_has_one() {
    let (reader, line) = made("reader", &["runs:read"]);
    let (boss, boss_line) = made("boss", &["runs:read", "admin"]);
    let file = File::new(&format!("# people\n{line}\n"));
    let launch = with_tokens(serve().with(&["--host", "0.0.0.0"]), &file.path());
    let mut process = launch.env("AGENTEVALS_TOKENS", &format!("{boss_line};")).start();
    process.logged("serving http://").await;
    for (token, status) in [(&*reader, 200), (&boss, 200), ("aev_wrong", 401), (&line, 401)] {
        assert_eq!(listing(&process, token).await, status, "{token}");
    }
    let log = process.log();
    assert!(log.contains("reader") && log.contains("boss") && log.contains("refused GET /api/runs"), "{log}");
    for secret in [&*reader, &boss, "aev_", "sha256", line.rsplit(':').next().unwrap()] {
        assert!(!log.contains(secret), "{secret}\n{log}");
    }
    process.terminated().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_were_given_are_the_only_ones_without_tokens() {
    let launch =
        serve().with(&["--host", "0.0.0.0", "--insecure-no-auth", "--allowed-hosts", "good.example"]);
    let (process, _) = launch.answering().await;
    for (host, status) in [("good.example", 200), ("evil.example", 403)] {
        let url = format!("http://127.0.0.1:{}/api/runs", process.address().unwrap().port());
        let answer = http().get(url).header("host", host).send().await.unwrap();
        assert_eq!(answer.status(), status, "{host}");
    }
    process.terminated().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_exchanged_without_a_restart() {
    let ((old, old_line), (new, new_line)) = (made("ci", &["runs:read"]), made("ci", &["runs:read"]));
    let file = File::new(&old_line);
    let (process, _) = with_tokens(serve(), &file.path()).answering().await;
    let becomes = async |token: &str, status: u16| {
        eventually("the server has read its tokens", || async {
            (listing(&process, token).await == status).then_some(())
        })
        .await;
    };
    assert_eq!(listing(&process, &old).await, 200);
    file.write(&format!("{old_line}\n{new_line}\n"));
    becomes(&new, 200).await;
    assert_eq!(listing(&process, &old).await, 200);
    // A file that is being written badly locks nobody out, and is told of once.
    file.write(&format!("{new_line}\noops {old}\n"));
    // The file is looked at when somebody asks.
    eventually("the fault is logged", || async {
        listing(&process, "aev_nobody").await;
        process.log().contains("line 2").then_some(())
    })
    .await;
    assert_eq!([listing(&process, &old).await, listing(&process, &new).await], [200, 200]);
    file.write(&new_line);
    becomes(&old, 401).await;
    assert_eq!(listing(&process, &new).await, 200);
    let log = process.log();
    assert_eq!(log.matches("the tokens read before still hold").count(), 1, "{log}");
    assert!(!log.contains(&old) && !log.contains(&new), "{log}");
    process.terminated().await;
}

#[test]
fn tokens_that_cannot_be_used_end_a_start_without_being_shown() {
    let (token, line) = made("ci", &["admin"]);
    for (lines, what) in [
        ("# nobody yet".to_owned(), "has no tokens"),
        (format!("{line}\n{token}"), "line 2: expected three words"),
        (line.replace(" admin ", " everything "), "line 1: the scopes"),
        (line.replace("ci ", &format!("{token} ")), "line 1: the name"),
        (format!("{line}\n{line}"), "line 2: the digest stands in an earlier line"),
    ] {
        let file = File::new(&lines);
        let output = agentevals().args(["serve", "--tokens-file"]).arg(file.path()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with("error: tokens file `") && said.contains(what), "{said}");
        for secret in [&*token, "sha256:0", line.rsplit(':').next().unwrap()] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    let output = agentevals().arg("serve").env("AGENTEVALS_TOKENS", "a;b").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: AGENTEVALS_TOKENS, entry 1: "), "{said}");
    for arguments in
        [&["ci"][..], &["c i", "--scope", "admin"], &["aev_x", "--scope", "admin"], &["ci", "--scope", "x"]]
    {
        let output = agentevals().arg("token").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty());
    }
}

/// What a server answers to the beginning of a request whose body never comes.
async fn answer_to(process: &Process, head: &str) -> String {
    let mut stream = TcpStream::connect(process.address().unwrap()).await.unwrap();
    let head = head.replace('\n', "\r\n");
    let request = format!("POST /api/runs HTTP/1.1\r\n{head}\r\ncontent-length: 1000000\r\n\r\n{{");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = timeout(LONG_PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The reference's http-api fault 1: any page could post, and start code evaluators by that.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_post_is_told_before_the_body_has_come() {
    let (process, api) = serve().answering().await;
    let host = process.address().unwrap();
    let evil = format!("host: {host}\norigin: https://evil.example");
    for (head, said) in [
        (format!("{evil}\ncontent-type: text/plain"), "pages of `https://evil.example` may not"),
        (
            format!("{evil}\ncontent-type: multipart/form-data; boundary=b"),
            "pages of `https://evil.example` may not",
        ),
        (
            format!("host: {host}\nsec-fetch-site: cross-site\ncontent-type: text/plain"),
            "pages of other sites may not",
        ),
        (
            "host: evil.example\norigin: http://evil.example\ncontent-type: application/json".to_owned(),
            "`evil.example` in the header `Host` is no name",
        ),
    ] {
        let answer = answer_to(&process, &head).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains("allow-origin"), "{head}: {answer}");
        assert!(process.log().contains(said), "{said}\n{}", process.log());
    }
    // A program is no browser, and this server is its own.
    let run = api.submit(&quick(RunId::new_v7())).await;
    assert_eq!(api.finished(run).await["status"], "succeeded");
    process.terminated().await;

    let (_, line) = made("ci", &["runs:write"]);
    let file = File::new(&line);
    let (process, _) = with_tokens(serve(), &file.path()).answering().await;
    let answer = answer_to(&process, "host: localhost\ncontent-type: application/json").await;
    assert!(
        answer.starts_with("HTTP/1.1 401 ") && answer.contains("www-authenticate: Bearer\r\n"),
        "{answer}"
    );
    process.terminated().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_kept_for_the_time_that_was_set() {
    let database = TestDb::new().await;
    let stores = [serve(), serve().over(&database.url())];
    for launch in stores {
        let (mut process, api) = launch.with(&["--retention", "1s"]).answering().await;
        let run = api.submit(&quick(RunId::new_v7())).await;
        eventually("the run is deleted", || async { api.run(run).await.is_none().then_some(()) }).await;
        process.logged("that finished more than 1s ago").await;
        process.assert_calm();
        process.terminated().await;
    }
    let output = agentevals().args(["serve", "--retention", "30"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("expected a number with its unit"), "{said}");
}
