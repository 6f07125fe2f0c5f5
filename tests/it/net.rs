//! Calls to addresses that requests name: who is reached, who is not, and how much is taken in.

use std::time::{Duration, Instant};

use agentevals::net::{Answer, Call, CallError, Outbound};
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};

use crate::support::http_server::{HttpServer, Reply};
use crate::support::tls::TlsFront;

const SECOND: Duration = Duration::from_secs(1);

fn outbound(rules: &str) -> Outbound {
    Outbound::new(rules.parse().unwrap()).unwrap()
}

/// May call these servers and nobody else on this machine.
fn to(servers: &[&HttpServer]) -> Outbound {
    let allowed: Vec<_> = servers.iter().map(|server| server.address().to_string()).collect();
    outbound(&allowed.join(","))
}

fn get(url: &str) -> Call {
    Call {
        method: Method::GET,
        url: Url::parse(url).unwrap(),
        headers: HeaderMap::new(),
        body: None,
        timeout: 30 * SECOND,
        max_answer_bytes: 1 << 20,
        max_redirects: 5,
    }
}

fn with_headers(url: &str, headers: &[(&'static str, &str)]) -> Call {
    let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    Call { headers: headers.collect(), ..get(url) }
}

async fn refusal(outbound: &Outbound, url: &str) -> String {
    match outbound.call(get(url)).await {
        Err(error @ CallError::Refused(_)) => {
            assert!(!error.is_transient());
            error.to_string()
        }
        other => panic!("{url}: {other:?}"),
    }
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[tokio::test]
async fn what_is_allowed_is_asked_and_its_answer_taken_in() {
    let server = HttpServer::scripted([Reply::text(418, "short and stout").header("X-Kind", "tea")]).await;
    let outbound = to(&[&server]);
    let call = with_headers(&server.url("/pot?x=1"), &[("accept", "text/plain"), ("x-more", "m")]);
    let answer = outbound.call(call).await.unwrap();
    assert_eq!((answer.status.as_u16(), text(&answer)), (418, "short and stout"));
    assert_eq!(answer.headers["x-kind"], "tea");
    let request = server.only_request();
    assert_eq!((&*request.method, &*request.target), ("GET", "/pot?x=1"));
    assert_eq!((request.header("accept"), request.header("x-more")), (Some("text/plain"), Some("m")));
    let agent = format!("agentevals/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(request.header("user-agent"), Some(&*agent));
    let call = Call { method: Method::POST, body: Some(b"{}".to_vec()), ..get(&server.url("/")) };
    outbound.call(call).await.unwrap();
    assert_eq!((&*server.requests()[1].method, server.requests()[1].text()), ("POST", "{}"));
}

#[tokio::test]
async fn nobody_is_asked_at_an_address_that_is_refused() {
    let server = HttpServer::scripted([Reply::status(200)]).await;
    let port = server.address().port();
    for (rules, url, named) in [
        ("", server.url("/"), "`127.0.0.1` is not public (loopback)"),
        ("", format!("http://localhost:{port}/"), "`localhost` leads to"),
        ("", format!("http://0x7f.1:{port}/"), "`127.0.0.1`"),
        ("", format!("http://[::ffff:127.0.0.1]:{port}/"), "in disguise"),
        ("10.0.0.0/8,localhost:1,127.0.0.1:1", format!("http://localhost:{port}/"), "`localhost` leads to"),
        ("10.0.0.0/8,localhost:1,127.0.0.1:1", server.url("/"), "`127.0.0.1`"),
        ("", "ftp://example.org/".to_owned(), "use http or https"),
    ] {
        let said = refusal(&outbound(rules), &url).await;
        assert!(said.contains(named), "{url}: {said}");
    }
    assert_eq!(server.requests(), []);
    for rules in ["127.0.0.0/8,::1".to_owned(), "localhost".to_owned(), format!("localhost:{port}")] {
        let answer = outbound(&rules).call(get(&format!("http://localhost:{port}/"))).await;
        assert_eq!(answer.unwrap().status, 200, "{rules}");
    }
}

#[tokio::test]
async fn redirects_are_followed_within_the_rules_only() {
    let hidden = HttpServer::scripted([Reply::text(200, "secrets")]).await;
    let (to_hidden, port) = (hidden.url("/latest"), hidden.address().port());
    let server = HttpServer::start(move |_, request| match &*request.target {
        "/hidden" => Reply::redirect(302, &*to_hidden),
        "/by-name" => Reply::redirect(307, format!("http://localhost:{port}/")),
        "/metadata" => Reply::redirect(301, "http://169.254.169.254/latest/meta-data/"),
        "/file" => Reply::redirect(302, "file:///etc/passwd"),
        "/user" => Reply::redirect(302, "http://me:hunter2@example.org/"),
        "/broken" => Reply::redirect(302, "http://["),
        "/loop" => Reply::redirect(302, "/loop?again"),
        "/loop?again" => Reply::redirect(302, "/loop"),
        "/nowhere" => Reply::status(302),
        "/a" => Reply::redirect(303, "b"),
        "/b" => Reply::redirect(308, "//127.0.0.1/c"),
        _ => Reply::text(200, "end"),
    })
    .await;
    let outbound = to(&[&server]);
    for (path, said) in [
        ("/hidden", "is not public (loopback)"),
        ("/by-name", "`localhost` leads to"),
        ("/metadata", "`169.254.169.254` is not public (link-local)"),
        ("/file", "`file` is no scheme"),
        ("/a", "is not public (loopback)"), // another port than the one allowed
    ] {
        let refused = refusal(&outbound, &server.url(path)).await;
        assert!(refused.contains(said), "{path}: {refused}");
    }
    for (path, said) in [
        ("/user", "a user in it"),
        ("/broken", "to what is no URL"),
        ("/loop", "after 5 redirects, the limit"),
    ] {
        let error = outbound.call(get(&server.url(path))).await.unwrap_err();
        assert!(matches!(error, CallError::BadRedirect { .. }) && !error.is_transient(), "{path}: {error:?}");
        assert!(
            error.to_string().contains(said) && !error.to_string().contains("hunter2"),
            "{path}: {error}"
        );
    }
    assert_eq!(hidden.requests(), []);
    assert_eq!(outbound.call(get(&server.url("/nowhere"))).await.unwrap().status, 302);
    let both = to(&[&server, &hidden]);
    assert_eq!(text(&both.call(get(&server.url("/hidden"))).await.unwrap()), "secrets");
}

#[tokio::test]
async fn a_redirect_is_the_answer_where_it_must_not_be_followed() {
    let server = HttpServer::scripted([Reply::redirect(307, "/elsewhere")]).await;
    let outbound = to(&[&server]);
    let never = Call { max_redirects: 0, ..get(&server.url("/")) };
    assert_eq!(outbound.call(never).await.unwrap().status, 307);
    let with_body = Call { method: Method::POST, body: Some(Vec::new()), ..get(&server.url("/")) };
    assert_eq!(outbound.call(with_body).await.unwrap().status, 307);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn headers_stay_with_the_origin_they_were_meant_for() {
    let other = HttpServer::scripted([Reply::text(200, "other")]).await;
    let away = other.url("/");
    let server = HttpServer::start(move |_, request| match &*request.target {
        "/here" => Reply::redirect(302, "/there"),
        "/there" => Reply::redirect(302, &*away),
        _ => unreachable!(),
    })
    .await;
    let headers = [
        ("accept", "application/json"),
        ("authorization", "Bearer abc"),
        ("cookie", "c"),
        ("x-api-key", "k"),
    ];
    let answer = to(&[&server, &other]).call(with_headers(&server.url("/here"), &headers)).await.unwrap();
    assert_eq!(text(&answer), "other");
    for request in server.requests() {
        assert!(headers.iter().all(|(name, value)| request.header(name) == Some(value)), "{request:?}");
    }
    let request = other.only_request();
    assert_eq!(request.header("accept"), Some("application/json"));
    assert!(headers[1..].iter().all(|(name, _)| request.header(name).is_none()), "{request:?}");
}

#[tokio::test]
async fn a_user_in_the_url_is_sent_as_a_header_and_never_shown() {
    let server =
        HttpServer::scripted([Reply::status(200), Reply::redirect(302, "http://["), Reply::closing()]).await;
    let outbound = to(&[&server]);
    let url = server.url("/?key=hunter2").replace("http://", "http://me%40x:p%3Aw@");
    outbound.call(get(&url)).await.unwrap();
    assert_eq!(server.only_request().header("authorization"), Some("Basic bWVAeDpwOnc="));
    for _ in 0..2 {
        let error = outbound.call(get(&url)).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("p%3Aw"), "{shown}");
    }
    let call = with_headers(&url, &[("authorization", "Bearer mine")]);
    let _ = outbound.call(call).await;
    assert_eq!(server.requests().last().unwrap().header("authorization"), Some("Bearer mine"));
}

#[tokio::test]
async fn no_more_is_taken_in_than_the_limit() {
    let large = Reply::text(200, vec![b'x'; 1001]);
    let server = HttpServer::scripted([Reply::text(200, vec![b'x'; 1000]), large, Reply::endless()]).await;
    let outbound = to(&[&server]);
    let call = Call { max_answer_bytes: 1000, ..get(&server.url("/")) };
    assert_eq!(outbound.call(call.clone()).await.unwrap().body.len(), 1000);
    for _ in ["declared", "counted"] {
        let error = outbound.call(call.clone()).await.unwrap_err();
        assert!(matches!(error, CallError::TooLarge { limit_bytes: 1000, .. }), "{error:?}");
        assert!(!error.is_transient());
    }
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn an_exchange_ends_in_time_whatever_it_hangs_at() {
    let server = HttpServer::scripted([Reply::hanging(), Reply::stalling()]).await;
    let outbound = to(&[&server]);
    let call = Call { timeout: Duration::from_millis(200), ..get(&server.url("/")) };
    for _ in ["headers", "body"] {
        let started = Instant::now();
        let error = outbound.call(call.clone()).await.unwrap_err();
        assert!(matches!(error, CallError::TimedOut { .. }) && error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("within 0.2 s"), "{error}");
        assert!(started.elapsed() < 10 * SECOND);
    }
    server.wait_until_left().await;
}

#[tokio::test]
async fn whoever_is_not_there_may_be_there_later() {
    let server = HttpServer::scripted([Reply::closing()]).await;
    let gone = HttpServer::scripted([Reply::status(200)]).await;
    let outbound = to(&[&server, &gone]);
    let url = gone.url("/");
    drop(gone);
    for url in [server.url("/"), url, "http://no-such-host.invalid/".to_owned()] {
        let error = outbound.call(get(&url)).await.unwrap_err();
        assert!(matches!(error, CallError::Unreachable { .. }) && error.is_transient(), "{url}: {error:?}");
    }
}

/// A call in a process with this environment: what was said of it.
async fn call_with(url: &str, environment: &[(&str, &str)]) -> String {
    let program = std::env::current_exe().unwrap();
    let called = tokio::process::Command::new(program)
        .args(["--exact", "net::calls_as_it_is_told", "--ignored", "--nocapture"])
        .env("AGENTEVALS_TEST_URL", url)
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .envs(environment.iter().copied())
        .output()
        .await
        .unwrap();
    assert!(called.status.success(), "{}", String::from_utf8_lossy(&called.stdout));
    let said = String::from_utf8(called.stderr).unwrap();
    said.lines().find_map(|line| line.strip_prefix("said: ")).expect("it was called").to_owned()
}

/// Run by others in a process with another environment.
#[tokio::test]
#[ignore = "part of other tests"]
async fn calls_as_it_is_told() {
    let url = std::env::var("AGENTEVALS_TEST_URL").unwrap();
    match outbound("127.0.0.1").call(get(&url)).await {
        Ok(answer) => eprintln!("said: {}", text(&answer)),
        Err(error) => eprintln!("said: {error}"),
    }
}

#[tokio::test]
async fn the_environment_names_no_proxy() {
    // A proxy would be asked instead of the server, and could be anywhere.
    let server = HttpServer::scripted([Reply::text(200, "direct")]).await;
    let proxy = HttpServer::scripted([Reply::text(200, "proxied")]).await;
    let url = proxy.url("/");
    let environment = ["http_proxy", "HTTP_PROXY", "ALL_PROXY"].map(|name| (name, &*url));
    assert_eq!(call_with(&server.url("/"), &environment).await, "direct");
    assert_eq!(proxy.requests(), []);
}

#[tokio::test]
async fn what_began_encrypted_stays_so() {
    let plain = HttpServer::scripted([Reply::text(200, "plain")]).await;
    let away = plain.url("/");
    let server = HttpServer::start(move |_, request| match &*request.target {
        "/away" => Reply::redirect(302, &*away),
        "/on" => Reply::redirect(302, "/"),
        _ => Reply::text(200, "encrypted"),
    })
    .await;
    let front = TlsFront::start(server.address()).await;
    let authority = front.authority();
    let trusting = [("SSL_CERT_FILE", authority.to_str().unwrap())];
    assert_eq!(call_with(&front.url("/on"), &trusting).await, "encrypted");
    let said = call_with(&front.url("/away"), &trusting).await;
    assert!(said.contains("from https to less"), "{said}");
    let said = call_with(&front.url("/"), &[]).await;
    assert!(said.contains("could not be reached") && said.contains("certificate"), "{said}");
    assert_eq!(plain.requests(), []);
}
