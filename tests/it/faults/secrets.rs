//! Secrets: they reach whom they are meant for, and nobody else.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::client::Api;
use crate::support::http_server::{HttpServer, Reply};
use crate::support::postgres::TestDb;
use crate::support::processes::serve;
use crate::support::{TRACE, otlp, question};

/// What is only referred to: in a variable, and in a file.
const REFERRED: [&str; 2] = ["swordfish-of-a-variable", "swordfish-of-a-file"];

/// What stands in specifications themselves.
const WRITTEN: [&str; 3] = ["sesame-of-a-header", "sesame-of-a-user", "sesame-of-a-query"];

/// A run with every secret there is, of a trace behind a URL.
fn submission(base: &str, file: &str) -> Value {
    let base = base.replacen("//", "//me:sesame-of-a-user@", 1);
    json!({
        "maxAttempts": 2,
        "spec": {
            "target": {"kind": "http", "baseUrl": format!("{base}?key=sesame-of-a-query"), "traceId": TRACE},
            "context": {"headers": {
                "X-Written": "sesame-of-a-header",
                "X-Variable": {"fromEnv": "TEAM_TOKEN"},
                "X-File": {"credentialRef": "file", "prefix": "Token "},
            }},
            "credentialRefs": {"file": {"kind": "file", "path": file}},
        },
    })
}

/// Every row of every table, as text.
async fn tables(client: &Client) -> BTreeMap<String, String> {
    let query = "SELECT tablename FROM pg_tables WHERE schemaname = 'agentevals'";
    let mut tables = BTreeMap::new();
    for row in client.query(query, &[]).await.unwrap() {
        let name: String = row.get(0);
        let query = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM agentevals.\"{name}\" t");
        tables.insert(name, client.query_one(&query, &[]).await.unwrap().get(0));
    }
    tables
}

/// All that the API says of a run.
async fn told(api: &Api, run: &str) -> String {
    let mut told = api.text("/api/runs?include=spec").await;
    for path in ["", "?include=spec", "/results", "/events"] {
        told.push_str(&api.text(&format!("/api/runs/{run}{path}")).await);
    }
    told
}

fn assert_hidden(text: &str, secrets: &[&str], place: &str) {
    for secret in secrets {
        assert!(!text.contains(secret), "{place} shows {secret}:\n{text}");
    }
}

/// Upstream's run-pipeline fault 15: secrets were kept in clear text. Those that are referred to are kept nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_sent_and_neither_kept_nor_shown() {
    let (database, folder) = (TestDb::new().await, tempfile::tempdir().unwrap());
    fs::write(folder.path().join("token"), format!("{}\n", REFERRED[1])).unwrap();
    fs::write(folder.path().join("broken"), format!("{}\n\n\u{1}", REFERRED[1])).unwrap();
    let allowed = serve().over(&database.url()).with(&["--log-level", "trace", "--retry-backoff-s", "0.01"]);
    let allowed = allowed.with(&["--outbound-allow", "127.0.0.1", "--credential-env", "TEAM_TOKEN"]);
    let allowed = allowed.with(&["--credential-dir", folder.path().to_str().unwrap()]);
    let (process, api) = allowed.env("TEAM_TOKEN", REFERRED[0]).answering().await;

    let trace = HttpServer::scripted([Reply::json(&otlp([question(1, "Hello?", "Hello.")]))]).await;
    let away = HttpServer::scripted([Reply::status(503)]).await;
    let gone = HttpServer::scripted([Reply::closing()]).await;
    let astray = HttpServer::scripted([Reply::redirect(302, "http://169.254.169.254/?key=x")]).await;
    let (mut said, mut codes) = (String::new(), Vec::new());
    for (base, file) in [
        (trace.url("/t"), "token"),
        (away.url("/t"), "token"),
        (gone.url("/t"), "token"),
        (astray.url("/t"), "token"),
        (trace.url("/t"), "broken"),
        (trace.url("/t"), "absent"),
    ] {
        let run = api.submit(&submission(&base, file)).await;
        codes.push(api.finished(run).await["errorCode"].as_str().unwrap_or_default().to_owned());
        said.push_str(&told(&api, &run.to_string()).await);
    }
    assert_eq!(
        codes,
        ["", "fetch_failed", "fetch_failed", "fetch_refused", "bad_credential", "bad_credential"]
    );
    let refused = api.try_submit(&submission("http://10.0.0.1/", "../token")).await.unwrap();
    assert_eq!(refused.0, 422);
    said.push_str(&refused.1.to_string());

    let request = trace.only_request();
    assert_eq!(request.header("x-variable"), Some(REFERRED[0]));
    assert_eq!(request.header("x-file"), Some("Token swordfish-of-a-file"));
    assert_eq!(request.header("x-written"), Some(WRITTEN[0]));
    assert!(request.header("authorization").unwrap().starts_with("Basic "));
    assert!(request.target.ends_with(WRITTEN[2]));

    let secrets = [&REFERRED[..], &WRITTEN[..]].concat();
    assert!(said.contains("TEAM_TOKEN") && said.contains("run.requeued"), "{said}");
    assert_hidden(&said, &secrets, "an answer");
    assert!(process.log().contains("fetched "), "{}", process.log());
    assert_hidden(&process.log(), &secrets, "the log");
    let tables = tables(&database.client().await).await;
    assert!(tables["run_spec"].contains(WRITTEN[0]) && tables["run_event"].contains("fetch_refused"));
    for (table, rows) in tables {
        // A specification is kept as it was written.
        let hidden = if table == "run_spec" { &REFERRED[..] } else { &secrets[..] };
        assert_hidden(&rows, hidden, &table);
    }
}
