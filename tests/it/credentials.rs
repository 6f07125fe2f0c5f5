//! Credentials: what may be referred to, where faults are said to be, and what a look-up gives.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use agentevals::credentials::{
    Cluster, CredentialError, CredentialRefs, CredentialRules, Credentials, HeaderSources, Secret,
    SecretSource,
};
use agentevals::json::checked::{Cursor, Faults};
use agentevals::json::parse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::http_server::{HttpServer, Reply, Request};
use crate::support::tls::TlsFront;

/// What stands in every secret here.
const SECRET: &str = "hunter2";

/// A directory of credentials and what else there is to refer to.
struct Vault {
    folder: TempDir,
    credentials: Credentials,
}

impl Vault {
    fn new() -> Self {
        Self::with_cluster(None)
    }

    fn with_cluster(cluster: Option<Cluster>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir_all(inside.join("sub")).unwrap();
        let write = |path: &Path, text: &[u8]| fs::write(path, text).unwrap();
        write(&folder.path().join("outside"), SECRET.as_bytes());
        write(&inside.join("token"), b"hunter2 of a file\n");
        write(&inside.join("sub/token"), b"hunter2 below");
        write(&inside.join("lines"), b"hunter2\nhunter2\n");
        write(&inside.join("empty"), b"\n");
        write(&inside.join("binary"), b"hunter2\xff");
        write(&inside.join("large"), &[b'x'; (64 << 10) + 1]);
        symlink("sub/token", inside.join("link")).unwrap();
        symlink("../outside", inside.join("out")).unwrap();
        symlink("..", inside.join("up")).unwrap();
        let rules = CredentialRules {
            variables: ["SET", "UNSET", "EMPTY", "BROKEN"].map(str::to_owned).into(),
            directory: Some(inside),
            secrets: ["team/tempo", "team/other", "team/absent"].map(|name| name.parse().unwrap()).into(),
        };
        let variables = [("SET", "hunter2 of a variable"), ("EMPTY", ""), ("BROKEN", "hunter2\u{7}")];
        let variables: BTreeMap<_, _> =
            variables.map(|(name, value)| (name.to_owned(), Secret::new(value))).into();
        Self { folder, credentials: Credentials::new(rules, variables, cluster) }
    }

    fn rules(&self) -> CredentialRules {
        self.credentials.rules().clone()
    }

    /// The header `x` with a value from this credential.
    async fn look_up(&self, reference: Value) -> Result<String, CredentialError> {
        let (refs, headers) = (json!({"c": reference}), json!({"x": {"credential_ref": "c"}}));
        let (refs, headers) = self.read(&refs, &headers).unwrap();
        let found = self.credentials.headers(&headers, &refs).await;
        found.map(|headers| headers["x"].to_str().unwrap().to_owned())
    }

    fn read(&self, refs: &Value, headers: &Value) -> Result<(CredentialRefs, HeaderSources), Vec<String>> {
        read(refs, headers, &self.rules())
    }

    /// The text of the permanent error of a look-up.
    async fn unusable(&self, reference: Value) -> String {
        match self.look_up(reference.clone()).await {
            Err(error @ CredentialError::Unusable(_)) => {
                assert!(!error.is_transient());
                assert!(!error.to_string().contains(SECRET), "{error}");
                error.to_string()
            }
            other => panic!("{reference}: {other:?}"),
        }
    }
}

/// Reads both members as a specification would have them; the faults as `pointer: text`.
fn read(
    refs: &Value,
    headers: &Value,
    rules: &CredentialRules,
) -> Result<(CredentialRefs, HeaderSources), Vec<String>> {
    let text = json!({"credential_refs": refs, "headers": headers}).to_string();
    let (document, faults) = (parse(&text).unwrap(), Faults::default());
    let root = Cursor::root(&document, &faults);
    let refs = root.member("credential_refs", |refs| CredentialRefs::read(refs, rules)).unwrap_or_default();
    let headers = root.member("headers", |headers| HeaderSources::read(headers, rules, &refs));
    let faults = faults.into_vec();
    match headers {
        Some(headers) if faults.is_empty() => Ok((refs, headers)),
        _ => Err(faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect()),
    }
}

fn faults(refs: Value, headers: Value) -> Vec<String> {
    let faults = read(&refs, &headers, &Vault::new().rules()).unwrap_err();
    assert!(!faults.iter().any(|fault| fault.contains(SECRET)), "{faults:?}");
    faults
}

#[test]
fn nothing_may_be_referred_to_unless_the_operator_says_so() {
    for (reference, pointer, remedy) in [
        (json!({"kind": "env", "name": "HOME"}), "/credential_refs/c/name", "AGENTEVALS_CREDENTIAL_ENV"),
        (json!({"kind": "file", "path": "token"}), "/credential_refs/c/path", "AGENTEVALS_CREDENTIAL_DIR"),
        (
            json!({"kind": "kubernetes", "namespace": "n", "name": "s", "key": "k"}),
            "/credential_refs/c",
            "AGENTEVALS_CREDENTIAL_SECRETS",
        ),
    ] {
        let refs = json!({"c": reference});
        let faults = read(&refs, &json!({}), &CredentialRules::default()).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(&format!("{pointer}: ")) && faults[0].contains(remedy), "{faults:?}");
    }
    let headers = json!({"x": {"from_env": "HOME"}});
    let faults = read(&json!({}), &headers, &CredentialRules::default()).unwrap_err();
    assert!(faults[0].starts_with("/headers/x/from_env: variable `HOME` may not be read"), "{faults:?}");
}

#[test]
fn references_at_fault_are_explained_where_they_are() {
    for (reference, expected) in [
        (json!("hunter2"), "/credential_refs/c: expected an object, got a string"),
        (json!({}), "/credential_refs/c/kind: missing"),
        (
            json!({"kind": "vault"}),
            "/credential_refs/c/kind: unknown value `vault`; expected one of env, file, kubernetes",
        ),
        (json!({"kind": "env"}), "/credential_refs/c/name: missing"),
        (json!({"kind": "env", "name": "PATH"}), "/credential_refs/c/name: variable `PATH` may not be read"),
        (
            json!({"kind": "env", "name": "SET", "value": "hunter2"}),
            "/credential_refs/c/value: unknown member",
        ),
        (json!({"kind": "file"}), "/credential_refs/c/path: missing"),
        (json!({"kind": "file", "path": ""}), "/credential_refs/c/path: `` is no path below"),
        (
            json!({"kind": "file", "path": "/etc/passwd"}),
            "/credential_refs/c/path: `/etc/passwd` is no path below",
        ),
        (
            json!({"kind": "file", "path": "sub/../../x"}),
            "/credential_refs/c/path: `sub/../../x` is no path below",
        ),
        (json!({"kind": "kubernetes"}), "/credential_refs/c/namespace: missing"),
        (
            json!({"kind": "kubernetes", "namespace": "team", "name": "root", "key": "k"}),
            "/credential_refs/c: secret `team/root` may not be read",
        ),
        (
            json!({"kind": "kubernetes", "namespace": "team", "name": "tempo"}),
            "/credential_refs/c/key: missing",
        ),
    ] {
        let found = faults(json!({"c": reference}), json!({}));
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{reference}: {found:?}");
    }
}

#[test]
fn headers_at_fault_are_explained_where_they_are() {
    for (headers, expected) in [
        (json!([]), "/headers: expected an object, got a list"),
        (
            json!({"x": 1}),
            "/headers/x: expected a string, {\"from_env\": NAME} or {\"credential_ref\": NAME}, got an integer",
        ),
        (json!({"x": null}), "/headers/x: expected a string"),
        (json!({"x": "hunter2\n"}), "/headers/x: holds a character that no header can"),
        (json!({"x": "y".repeat(8193)}), "/headers/x: 8193 bytes are more than 8192"),
        (json!({"a b": "y"}), "/headers/a b: `a b` is no name of a header"),
        (json!({"": "y"}), "/headers/: `` is no name of a header"),
        (json!({"Host": "internal"}), "/headers/Host: `Host` is set by the service itself"),
        (
            json!({"Transfer-Encoding": "chunked"}),
            "/headers/Transfer-Encoding: `Transfer-Encoding` is set by",
        ),
        (json!({"X": "1", "x": "2"}), "/headers/x: is given twice"),
        (json!({"x": {}}), "/headers/x: expected exactly one of `from_env` and `credential_ref`"),
        (json!({"x": {"from_env": "SET", "credential_ref": "c"}}), "/headers/x: expected exactly one of"),
        (json!({"x": {"from_env": "PATH"}}), "/headers/x/from_env: variable `PATH` may not be read"),
        (json!({"x": {"from_env": "SET", "prefix": "Bearer "}}), "/headers/x/prefix: unknown member"),
        (
            json!({"x": {"credential_ref": "cc"}}),
            "/headers/x/credential_ref: `cc` is not among the credential_refs",
        ),
        (
            json!({"x": {"credential_ref": "c", "prefix": "Bearer hunter2hunter2"}}),
            "/headers/x/prefix: is no prefix",
        ),
        (json!({"x": {"credential_ref": "c", "value": "hunter2"}}), "/headers/x/value: unknown member"),
    ] {
        let found = faults(json!({"c": {"kind": "env", "name": "SET"}}), headers.clone());
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{headers}: {found:?}");
    }
}

#[test]
fn a_credential_at_fault_is_the_only_fault() {
    let found = faults(json!({"c": {"kind": "env"}}), json!({"x": {"credential_ref": "c"}}));
    assert_eq!(found, ["/credential_refs/c/name: missing"]);
}

#[test]
fn there_is_a_limit_to_all_of_it() {
    let many: serde_json::Map<_, _> = (0..65).map(|n| (format!("n{n}"), json!("v"))).collect();
    let found = faults(json!({}), Value::Object(many.clone()));
    assert_eq!(found, ["/headers: 65 headers are more than 64"]);
    let found = faults(Value::Object(many), json!({}));
    assert_eq!(found, ["/credential_refs: 65 credentials are more than 64"]);
}

#[test]
fn a_signing_secret_is_referred_to_and_not_written() {
    let rules = Vault::new().rules();
    let read = |text: &str| {
        let (document, faults) = (parse(text).unwrap(), Faults::default());
        let refs = CredentialRefs::default();
        let source = SecretSource::read(&Cursor::root(&document, &faults), &rules, &refs);
        (source, faults.into_vec().first().map(|fault| fault.message.clone()))
    };
    assert_eq!(read(r#"{"fromEnv": "SET"}"#), (Some(SecretSource::Env("SET".to_owned())), None));
    let (source, fault) = read(r#""hunter2""#);
    assert!(source.is_none() && fault.as_ref().unwrap().contains("refer to a credential"), "{fault:?}");
    assert!(!fault.unwrap().contains(SECRET));
    assert!(read("1").1.unwrap().contains("expected an object"));
}

#[tokio::test]
async fn headers_take_their_values_from_everywhere_and_show_none() {
    let vault = Vault::new();
    let refs = json!({
        "variable": {"kind": "env", "name": "SET"},
        "filed": {"kind": "file", "path": "token"},
    });
    let headers = json!({
        "X-Literal": "hunter2 itself",
        "X-Env": {"fromEnv": "SET"},
        "Authorization": {"credential_ref": "filed", "prefix": "Bearer "},
        "X-Bare": {"credentialRef": "variable"},
    });
    let (refs, headers) = vault.read(&refs, &headers).unwrap();
    let found = vault.credentials.headers(&headers, &refs).await.unwrap();
    let value = |name: &str| found[name].to_str().unwrap();
    assert_eq!(value("x-literal"), "hunter2 itself");
    assert_eq!(value("x-env"), "hunter2 of a variable");
    assert_eq!(value("authorization"), "Bearer hunter2 of a file");
    assert_eq!(value("x-bare"), "hunter2 of a variable");
    assert!(found.values().all(|value| value.is_sensitive()));
    let shown = format!("{found:?} {headers:?} {refs:?} {:?}", vault.credentials);
    assert!(!shown.contains(SECRET), "{shown}");
    let none = vault.credentials.headers(&HeaderSources::default(), &refs).await.unwrap();
    assert_eq!(none, HeaderMap::new());
}

#[tokio::test]
async fn variables_have_to_be_set_and_of_use() {
    let vault = Vault::new();
    for (name, said) in [
        ("UNSET", "credential `c`: variable `UNSET` is not set where the worker runs"),
        ("EMPTY", "credential `c`: variable `EMPTY` is empty"),
        ("BROKEN", "header `x`: its value cannot stand in a header"),
    ] {
        let found = vault.unusable(json!({"kind": "env", "name": name})).await;
        assert!(found.starts_with(said), "{found}");
    }
}

#[tokio::test]
async fn files_are_read_below_the_directory_only() {
    let vault = Vault::new();
    for (path, value) in
        [("token", "hunter2 of a file"), ("sub/token", "hunter2 below"), ("link", "hunter2 below")]
    {
        assert_eq!(vault.look_up(json!({"kind": "file", "path": path})).await.unwrap(), value);
    }
    for (path, said) in [
        ("out", "leads out of the directory of credentials"),
        ("up/outside", "leads out of the directory of credentials"),
        ("none", "No such file"),
        ("sub", "is no regular file"),
        ("empty", "is empty"),
        ("binary", "valid UTF-8"),
        ("large", "is larger than 65536 bytes"),
        ("lines", "cannot stand in a header"),
    ] {
        let found = vault.unusable(json!({"kind": "file", "path": path})).await;
        assert!(found.contains(said), "{path}: {found}");
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, vault.folder.path().join("inside/pipe"), rustix::fs::Mode::RWXU)
        .unwrap();
    let found = vault.unusable(json!({"kind": "file", "path": "pipe"})).await;
    assert!(found.contains("is no regular file"), "{found}");
}

#[tokio::test]
async fn what_the_rules_of_the_worker_do_not_allow_is_not_looked_up() {
    let read_elsewhere = Vault::new();
    let refs = json!({
        "e": {"kind": "env", "name": "SET"},
        "f": {"kind": "file", "path": "token"},
        "k": {"kind": "kubernetes", "namespace": "team", "name": "tempo", "key": "k"},
    });
    let sources = ["e", "f", "k"].map(|name| json!({"x": {"credential_ref": name}}));
    for headers in sources.iter().chain([&json!({"x": {"from_env": "SET"}})]) {
        let (refs, headers) = read_elsewhere.read(&refs, headers).unwrap();
        let error = Credentials::default().headers(&headers, &refs).await.unwrap_err();
        assert!(error.to_string().contains("AGENTEVALS_CREDENTIAL_"), "{error}");
    }
}

/// An API of a cluster, on a server without TLS.
async fn cluster(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (HttpServer, TempDir, Vault) {
    let server = HttpServer::start(move |_, request| answer(request)).await;
    let files = tempfile::tempdir().unwrap();
    let (token, authority) = (files.path().join("token"), files.path().join("ca.crt"));
    fs::write(&token, "pod-token\n").unwrap();
    fs::write(&authority, "").unwrap();
    let url = server.url("/").parse().unwrap();
    let vault = Vault::with_cluster(Some(Cluster { url, token, authority }));
    (server, files, vault)
}

fn in_cluster(name: &str, key: &str) -> Value {
    json!({"kind": "kubernetes", "namespace": "team", "name": name, "key": key})
}

#[tokio::test]
async fn secrets_of_the_cluster_are_read_as_the_pod() {
    let (server, files, vault) = cluster(|_| {
        let data = json!({"token": STANDARD.encode("hunter2 of the cluster\n"), "binary": STANDARD.encode(b"\xff"),
            "broken": "%", "empty": ""});
        Reply::json(&json!({"kind": "Secret", "data": data}))
    })
    .await;
    assert_eq!(vault.look_up(in_cluster("tempo", "token")).await.unwrap(), "hunter2 of the cluster");
    let request = server.only_request();
    assert_eq!((&*request.method, &*request.target), ("GET", "/api/v1/namespaces/team/secrets/tempo"));
    assert_eq!(request.header("authorization"), Some("Bearer pod-token"));
    for (key, said) in [
        ("none", "secret `team/tempo`: has no key `none`"),
        ("binary", "its key `binary` holds no text"),
        ("broken", "its key `broken` holds no text"),
        ("empty", "key `empty` of secret `team/tempo` is empty"),
    ] {
        let found = vault.unusable(in_cluster("tempo", key)).await;
        assert!(found.contains(said), "{found}");
    }
    fs::write(files.path().join("token"), "next-token").unwrap();
    vault.look_up(in_cluster("other", "token")).await.unwrap();
    assert_eq!(server.requests().last().unwrap().header("authorization"), Some("Bearer next-token"));
    fs::remove_file(files.path().join("token")).unwrap();
    let found = vault.unusable(in_cluster("tempo", "token")).await;
    assert!(found.contains("the pod's token"), "{found}");
}

#[tokio::test]
async fn a_cluster_that_is_away_may_come_back() {
    let (server, _files, vault) = cluster(|request| match &*request.target {
        "/api/v1/namespaces/team/secrets/absent" => Reply::status(404),
        "/api/v1/namespaces/team/secrets/other" => Reply::status(403),
        _ => Reply::status(503),
    })
    .await;
    let found = vault.unusable(in_cluster("absent", "k")).await;
    assert_eq!(found, "credential `c`: secret `team/absent`: does not exist");
    assert!(vault.unusable(in_cluster("other", "k")).await.contains("let the service account get"));
    let away = vault.look_up(in_cluster("tempo", "k")).await.unwrap_err();
    assert!(away.is_transient() && away.to_string().contains("503"), "{away}");
    drop(server);
    let gone = vault.look_up(in_cluster("tempo", "k")).await.unwrap_err();
    assert!(gone.is_transient() && gone.to_string().contains("the Kubernetes API"), "{gone}");
}

#[tokio::test]
async fn answers_of_the_cluster_are_limited() {
    let (_server, _files, vault) = cluster(|request| match &*request.target {
        "/api/v1/namespaces/team/secrets/tempo" => Reply::endless(),
        "/api/v1/namespaces/team/secrets/other" => Reply::text(200, "hunter2"),
        _ => Reply::redirect(302, "/elsewhere"),
    })
    .await;
    for (name, said) in [("tempo", "larger than"), ("other", "what is no JSON"), ("absent", "answered 302")] {
        let found = vault.unusable(in_cluster(name, "k")).await;
        assert!(found.contains(said), "{found}");
    }
}

#[tokio::test]
async fn outside_of_a_cluster_there_are_no_secrets_of_one() {
    let found = Vault::new().unusable(in_cluster("tempo", "k")).await;
    assert!(found.contains("this worker runs in no Kubernetes cluster"), "{found}");
}

#[tokio::test]
async fn the_authority_of_the_cluster_is_the_only_one_trusted() {
    let server =
        HttpServer::scripted([Reply::json(&json!({"data": {"k": STANDARD.encode("hunter2")}}))]).await;
    let (front, other) = (TlsFront::start(server.address()).await, TlsFront::start(server.address()).await);
    let files = tempfile::tempdir().unwrap();
    let token = files.path().join("token");
    fs::write(&token, "pod-token").unwrap();
    let vault = |authority| {
        let url = front.url("/").parse().unwrap();
        Vault::with_cluster(Some(Cluster { url, token: token.clone(), authority }))
    };
    assert_eq!(vault(front.authority()).look_up(in_cluster("tempo", "k")).await.unwrap(), SECRET);
    let error = vault(other.authority()).look_up(in_cluster("tempo", "k")).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    let found = vault(files.path().join("none")).unusable(in_cluster("tempo", "k")).await;
    assert!(found.contains("the cluster's authority"), "{found}");
    assert_eq!(server.requests().len(), 1);
}
