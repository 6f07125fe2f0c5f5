//! Who is let in: tokens and their scopes, pages of other sites, names that are not this machine's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agentevals::api::ApiSettings;
use agentevals::api::access::{AccessSettings, Hosts, Scope, Token, Tokens, mint};
use agentevals::ids::RunId;
use agentevals::runs::Hints;
use agentevals::storage::memory::{MemoryLimits, MemoryStore};
use poem::http::Method;
use serde_json::{Value, json};

use super::document::{document, operations};
use super::failures::Log;
use super::harness::{Answer, Api, Call, submission};

/// A service over memory that lets in whom these settings admit.
fn api(access: AccessSettings) -> Api {
    let hints = Hints::default();
    let store = Arc::new(MemoryStore::new(MemoryLimits::default(), hints.clone()));
    Api::over(store, &hints, ApiSettings { access, ..ApiSettings::default() })
}

/// A service that knows a token for each scope.
fn guarded() -> Api {
    let line = |(name, scope): (&str, Scope)| Token::new(name, vec![scope], name).to_string();
    let lines = [("reader", Scope::RunsRead), ("writer", Scope::RunsWrite), ("boss", Scope::Admin)].map(line);
    let tokens = Tokens::load(None, Some(&lines.join(";"))).unwrap();
    api(AccessSettings { tokens, ..AccessSettings::default() })
}

/// A service without tokens that only this machine is to reach.
fn local() -> Api {
    api(AccessSettings { hosts: Some(Hosts::default()), ..AccessSettings::default() })
}

trait Showing {
    /// The request with this token.
    fn showing(self, token: &str) -> Self;
}

impl Showing for Call<'_> {
    fn showing(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }
}

/// A body that tells whether it was read.
fn watched() -> (poem::Body, Arc<AtomicBool>) {
    let is_read = Arc::new(AtomicBool::new(false));
    let noticed = is_read.clone();
    let chunk = futures_util::stream::once(async move {
        noticed.store(true, Ordering::Relaxed);
        Ok::<_, std::io::Error>(submission().to_string())
    });
    (poem::Body::from_bytes_stream(chunk), is_read)
}

/// What a request of an operation is answered with, whatever it makes of it.
async fn status(api: &Api, operation: &Value, token: Option<&str>) -> u16 {
    let call = api.call_on(operation["operationId"].as_str().unwrap(), RunId::new_v7());
    let call = match token {
        Some(token) => call.showing(token),
        None => call,
    };
    call.raw().await.status().as_u16()
}

#[tokio::test]
async fn every_operation_asks_for_the_scope_that_the_document_names() {
    let (api, document) = (guarded(), document());
    let mut open = Vec::new();
    for (path, method, operation) in operations(&document) {
        let about = format!("{method} {path}");
        let Some(scope) = operation["x-required-scope"].as_str() else {
            assert_eq!(operation["security"], json!([]), "{about}");
            assert_eq!(operation["responses"].get("401"), None, "{about}");
            assert!(![401, 403].contains(&status(&api, operation, None).await), "{about}");
            open.push(path);
            continue;
        };
        // A method that nobody thought of would need `admin`; say here what it needs.
        let expected = match method {
            "get" => "runs:read",
            "post" => "runs:write",
            "delete" => "admin",
            _ => panic!("{about}: which scope does it need?"),
        };
        assert_eq!(scope, expected, "{about}");
        assert_eq!(operation["security"], json!([{"bearer": []}]), "{about}");
        assert!(operation["description"].as_str().unwrap().contains(&format!("`{scope}`")), "{about}");
        for status in ["401", "403"] {
            let response = &operation["responses"][status];
            assert!(response["headers"]["WWW-Authenticate"].is_object(), "{about}: {response}");
            assert!(response["headers"]["X-Request-Id"].is_object(), "{about}: {response}");
        }
        assert_eq!(status(&api, operation, None).await, 401, "{about}");
        assert_eq!(status(&api, operation, Some("stranger")).await, 401, "{about}");
        for (token, held) in [("reader", "runs:read"), ("writer", "runs:write"), ("boss", "admin")] {
            let status = status(&api, operation, Some(token)).await;
            let is_enough = [scope, "admin"].contains(&held);
            assert_eq!(status == 403, !is_enough, "{about} with {held}: {status}");
            assert_ne!(status, 401, "{about} with {held}");
        }
    }
    assert!(open.iter().all(|path| ["/livez", "/readyz", "/api/health"].contains(path)), "{open:?}");
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}

#[tokio::test]
async fn a_refusal_says_what_is_missing_and_nothing_else() {
    let api = guarded();
    let refused = |answer: &Answer, challenge: &str| {
        answer.expect_problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), challenge);
    };
    refused(&api.call("list_runs").send().await, "Bearer");
    let secret = mint().unwrap();
    let answer = api.call("list_runs").showing(&secret).send().await;
    refused(&answer, "Bearer error=\"invalid_token\"");
    assert!(!answer.text.contains(&secret), "{answer:?}");
    for header in ["Basic cmVhZGVyOg==", "Bearer", "Bearer ", "reader"] {
        let answer = api.call("list_runs").header("authorization", header).send().await;
        refused(&answer, "Bearer error=\"invalid_request\"");
    }
    let call = api.call("list_runs").header("authorization", "bearer  reader ");
    call.send().await.expect(200);
    let answer = api.call("submit_run").showing("reader").json(&submission()).send().await;
    let problem = answer.expect_problem(403, "forbidden");
    let detail = "the token `reader` does not have the scope `runs:write`, which this needs";
    assert_eq!(problem["detail"], detail);
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer error=\"insufficient_scope\", scope=\"runs:write\""
    );
}

#[tokio::test]
async fn a_token_counts_in_the_header_only() {
    let api = guarded();
    for name in ["token", "access_token", "authorization"] {
        api.call("list_runs").query(name, "boss").send().await.expect_problem(401, "unauthenticated");
    }
    let call = api.call("list_runs").header("cookie", "token=boss").header("x-api-key", "boss");
    call.send().await.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn what_there_is_not_is_told_to_those_with_a_token() {
    let api = guarded();
    for path in ["/api/nothing", "/", "/docs/", "//livez", "/livez/", "/%6civez", "/api/runs/"] {
        let call = || api.request(Method::GET, path);
        call().send().await.expect_problem(401, "unauthenticated");
        for token in ["reader", "boss"] {
            call().showing(token).send().await.expect_problem(404, "not_found");
        }
    }
    for (method, path) in
        [(Method::DELETE, "/api/runs"), (Method::PUT, "/api/runs/7"), (Method::TRACE, "/api/runs")]
    {
        let call = || api.request(method.clone(), path);
        call().send().await.expect_problem(401, "unauthenticated");
        for token in ["reader", "boss"] {
            let answer = call().showing(token).send().await;
            answer.expect_problem(405, "method_not_allowed");
            assert!(answer.header("allow").contains("GET, HEAD"));
        }
    }
    for path in ["/livez", "/readyz", "/openapi.json", "/docs"] {
        assert_eq!(api.request(Method::GET, path).send().await.status, 200, "{path}");
    }
    api.request(Method::HEAD, "/api/runs").showing("reader").send().await;
}

#[tokio::test]
async fn the_page_that_describes_the_api_can_be_given_a_token() {
    let api = guarded();
    let page = api.request(Method::GET, "/docs").send().await;
    assert!(page.text.contains("securitySchemes"));
    // What it then sends: the token, from the server's own origin.
    let call = api.call("submit_run").showing("writer").header("host", "evals.example");
    let call = call.header("origin", "https://evals.example").header("sec-fetch-site", "same-origin");
    call.json(&submission()).send().await.expect(202);
}

#[tokio::test]
async fn nothing_of_a_body_is_read_before_its_sender_is_let_in() {
    let api = guarded();
    for (token, status) in [("stranger", 401), ("reader", 403), ("writer", 202)] {
        let (body, is_read) = watched();
        let call = api.call("submit_run").showing(token).header("content-type", "application/json");
        call.body(body).send().await.expect(status);
        assert_eq!(is_read.load(Ordering::Relaxed), status == 202, "{status}");
    }
}

#[tokio::test]
async fn logs_name_tokens_and_never_show_them() {
    let secrets = [mint().unwrap(), mint().unwrap()];
    let line = Token::new("nightly-ci", vec![Scope::RunsRead], &secrets[0]).to_string();
    let tokens = Tokens::load(None, Some(&line)).unwrap();
    let api = api(AccessSettings { tokens, ..AccessSettings::default() });
    let call =
        async |secret, id| api.call("list_runs").showing(secret).header("x-request-id", id).send().await;
    // A line that another test's thread would be the first to write while this one captures would be lost.
    call(&secrets[1], "before").await;
    let log = Log::default();
    let _guard = log.capture();
    for (secret, id) in secrets.iter().zip(["known", "stranger"]) {
        call(secret, id).await;
    }
    let lines = log.lines();
    let about =
        |text: &str| lines.iter().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(about("known").contains("nightly-ci"), "{lines:#?}");
    let refusal = about("refused GET /api/runs");
    assert!(refusal.contains("WARN") && refusal.contains("is not one that is known"), "{refusal}");
    let digest = line.rsplit(':').next().unwrap();
    for secret in [&secrets[0], &secrets[1], digest] {
        assert!(!lines.iter().any(|line| line.contains(secret)), "{lines:#?}");
    }
}

// Pages in browsers. The reference lets any page post (http-api fault 1).

/// What a browser sends for a form or a script of another site without asking first.
const SIMPLE: [&str; 3] =
    ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"];

#[tokio::test]
async fn a_page_of_another_site_can_post_nothing() {
    for api in [local(), guarded()] {
        for media_type in SIMPLE {
            for (name, value) in [
                ("origin", "https://evil.example"),
                ("origin", "null"),
                ("origin", "http://localhost:8002"),
                ("origin", "http://localhost:8001.evil.example"),
                ("sec-fetch-site", "cross-site"),
            ] {
                let (body, is_read) = watched();
                let call = api.call("submit_run").showing("writer").header("host", "localhost:8001");
                let answer =
                    call.header("content-type", media_type).header(name, value).body(body).send().await;
                answer.expect_problem(403, "cross_site");
                assert_eq!(answer.header("access-control-allow-origin"), "");
                assert!(!is_read.load(Ordering::Relaxed), "{value}");
            }
        }
        assert_eq!(api.call("list_runs").showing("reader").send().await.expect(200)["data"], json!([]));
    }
}

#[tokio::test]
async fn without_tokens_a_page_of_another_site_can_read_nothing_either() {
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        local().call("list_runs").header(name, value).send().await.expect_problem(403, "cross_site");
        // With tokens it would have to know one, and browsers keep the answer from it anyway.
        let answer = guarded().call("list_runs").showing("reader").header(name, value).send().await;
        answer.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), "");
        assert_eq!(answer.header("vary"), "Origin");
    }
}

#[tokio::test]
async fn programs_and_pages_of_the_server_itself_are_let_in() {
    let api = local();
    for headers in [
        &[][..],
        &[("host", "localhost:8001")],
        &[("host", "127.0.0.1:8001"), ("origin", "http://127.0.0.1:8001")],
        &[("host", "[::1]:8001"), ("origin", "http://[::1]:8001"), ("sec-fetch-site", "same-origin")],
        &[("host", "localhost"), ("sec-fetch-site", "none")],
    ] {
        let call = api.call("submit_run").json(&submission());
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        call.send().await.expect(202);
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_may_read_answers_failures_included() {
    let origins = "https://evals.example, http://localhost:5173".parse().unwrap();
    let api = api(AccessSettings { origins, ..AccessSettings::default() });
    for origin in ["https://evals.example", "http://localhost:5173"] {
        for (operation, status) in [("list_runs", 200), ("get_run", 404)] {
            let call = api.call_on(operation, RunId::new_v7()).header("origin", origin);
            let answer = call.header("sec-fetch-site", "cross-site").send().await;
            answer.expect(status);
            assert_eq!(answer.header("access-control-allow-origin"), origin);
            assert_eq!(answer.header("access-control-allow-credentials"), "true");
            for name in ["Location", "ETag", "X-Request-Id"] {
                assert!(answer.header("access-control-expose-headers").contains(name), "{name}");
            }
        }
    }
    api.call("list_runs").header("origin", "http://localhost:5174").send().await.expect(403);
}

/// As the reference was recorded, and what its own clients may not do.
#[tokio::test]
async fn browsers_that_ask_first_are_answered() {
    for api in [local(), guarded()] {
        for path in ["/api/health", "/api/runs", "/livez"] {
            let asking = |origin: &str| {
                let call = api.request(Method::OPTIONS, path).header("origin", origin);
                call.header("host", "localhost:8001").header("access-control-request-method", "DELETE").send()
            };
            let answer = asking("http://localhost:5173").await;
            assert_eq!((answer.status.as_u16(), &*answer.text), (200, "OK"));
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
            assert_eq!(answer.header("access-control-allow-origin"), "http://localhost:5173");
            assert!(answer.header("access-control-allow-methods").contains("DELETE"));
            for name in ["Authorization", "Idempotency-Key", "Prefer", "Last-Event-ID"] {
                assert!(answer.header("access-control-allow-headers").contains(name), "{name}");
            }
            let answer = asking("https://evil.example").await;
            answer.expect_problem(403, "cross_site");
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
    }
}

#[tokio::test]
async fn without_tokens_only_names_of_this_machine_are_answered() {
    let hosts = Some("evals.internal".parse().unwrap());
    let api = api(AccessSettings { hosts, ..AccessSettings::default() });
    for host in ["localhost:8001", "127.0.0.1", "[::1]:8001", "evals.internal:9000"] {
        api.call("list_runs").header("host", host).send().await.expect(200);
    }
    for host in ["evil.example", "evil.example:8001", "10.0.0.7:8001"] {
        // A page whose name was made to lead here is no stranger to the browser.
        let call = api.call("list_runs").header("host", host).header("origin", format!("http://{host}"));
        let problem = call.send().await.expect_problem(403, "unknown_host");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(host) && detail.contains("--allowed-hosts"), "{detail}");
        api.call("get_liveness").header("host", host).send().await.expect(200);
    }
}
