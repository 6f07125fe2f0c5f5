//! Sinks of a submission: what is taken, what is stored of it, what is refused and where the fault is said to be.

use std::path::PathBuf;
use std::time::Duration;

use agentevals::credentials::CredentialRules;
use agentevals::json::checked::Fault;
use agentevals::spec::{SinkKind, Submission, SubmissionError, SubmissionRules};
use serde_json::{Value, json};

use crate::support::{otlp, question};

fn rules() -> SubmissionRules {
    let credentials =
        CredentialRules { variables: ["TOKEN".to_owned()].into(), ..CredentialRules::default() };
    let file_sinks = Some(PathBuf::from("/srv/out"));
    SubmissionRules { credentials, file_sinks, ..SubmissionRules::default() }
}

fn submission(sinks: Value) -> Value {
    let inline = otlp([question(1, "Hello?", "Hello.")]);
    let refs = json!({"signing": {"kind": "env", "name": "TOKEN"}});
    json!({"spec": {"target": {"kind": "inline", "inline": inline}, "sinks": sinks, "credential_refs": refs}})
}

fn taken(sinks: Value) -> Submission {
    Submission::parse(&submission(sinks).to_string(), &rules()).unwrap()
}

fn refused(submission: &Value, rules: &SubmissionRules) -> Vec<Fault> {
    match Submission::parse(&submission.to_string(), rules) {
        Err(SubmissionError::Invalid(faults)) => faults,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sinks_are_stored_with_what_it_takes_to_send_to_them() {
    let webhook = json!({"kind": "http_webhook", "url": "https://user:pass@hooks.example.org:8443/a/b?token=x",
        "headers": {"X": "1", "Authorization": {"credential_ref": "signing", "prefix": "Bearer "}},
        "headers_from_env": {"Y": "TOKEN"}, "auth": {"kind": "headers", "headers": {"Z": {"from_env": "TOKEN"}}},
        "signingSecret": {"credentialRef": "signing"}, "timeoutS": 2.5, "max_attempts": 100});
    let file = json!({"kind": "file", "path": "team/out.ndjson", "timeout_s": 60});
    let run = taken(json!([webhook, {"kind": "stdout"}, file, {"kind": "file", "path": "/srv/out/a"}]));
    let known: Vec<_> = run.sinks.iter().map(|sink| (sink.kind, &*sink.destination, sink.timeout)).collect();
    let ten = Duration::from_secs(10);
    let expected = [
        (SinkKind::HttpWebhook, "https://hooks.example.org:8443", Duration::from_millis(2500)),
        (SinkKind::Stdout, "stdout", ten),
        (SinkKind::File, "team/out.ndjson", Duration::from_secs(60)),
        (SinkKind::File, "/srv/out/a", ten),
    ];
    assert_eq!(known, expected);
    let document: Value = serde_json::from_str(&run.sinks[0].document).unwrap();
    let refs = json!({"signing": {"kind": "env", "name": "TOKEN"}});
    assert_eq!(document, json!({"sink": webhook, "credentialRefs": refs}));
}

#[test]
fn no_sinks_are_none() {
    assert!(taken(json!([])).sinks.is_empty());
    assert!(taken(Value::Null).sinks.is_empty());
}

#[test]
fn fault_9_what_could_not_be_delivered_is_refused_with_its_place() {
    let webhook = |more: Value| {
        let mut sink = json!({"kind": "http_webhook", "url": "https://example.org/"});
        sink.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sink
    };
    let url = |url: &str| webhook(json!({"url": url}));
    let path = |path: &str| json!({"kind": "file", "path": path});
    let table = [
        (json!({}), "/kind", "missing"),
        (
            json!({"kind": "kafka"}),
            "/kind",
            "unknown sink `kafka`; expected one of stdout, file, http_webhook",
        ),
        (json!({"kind": "http-webhook"}), "/kind", "did you mean `http_webhook`?"),
        (json!({"kind": "http_webhook"}), "/url", "missing"),
        (json!({"kind": "file"}), "/path", "missing"),
        (json!({"kind": "stdout", "path": "x"}), "/path", "unknown member"),
        (webhook(json!({"header": {}})), "/header", "unknown member; did you mean `headers`?"),
        (url("hooks.example.org/x?token=hunter2"), "/url", "expected an absolute http or https URL"),
        (url("ftp://example.org/hunter2"), "/url", "expected an absolute http or https URL"),
        (url("http://127.0.0.1/hunter2"), "/url", "AGENTEVALS_OUTBOUND_ALLOW"),
        (url("http://[::1]:8080/hunter2"), "/url", "is not public"),
        (url("http://169.254.169.254/latest/hunter2"), "/url", "is not public"),
        (url("http://0x7f.1/hunter2"), "/url", "is not public"),
        (webhook(json!({"headers": {"a b": "hunter2"}})), "/headers/a b", "no name of a header"),
        (
            webhook(json!({"headers": {"x": {"from_env": "HOME"}}})),
            "/headers/x/from_env",
            "AGENTEVALS_CREDENTIAL_ENV",
        ),
        (
            webhook(json!({"headers": {"x": {"credential_ref": "none"}}})),
            "/headers/x/credential_ref",
            "credential_refs",
        ),
        (
            webhook(json!({"headers_from_env": {"x": "HOME"}})),
            "/headers_from_env/x",
            "AGENTEVALS_CREDENTIAL_ENV",
        ),
        (webhook(json!({"headersFromEnv": {"x": 1}})), "/headersFromEnv/x", "expected a string"),
        (webhook(json!({"auth": {"kind": "basic", "headers": {}}})), "/auth/kind", "unknown value `basic`"),
        (webhook(json!({"auth": {"kind": "headers"}})), "/auth/headers", "missing"),
        (webhook(json!({"signing_secret": "hunter2"})), "/signing_secret", "refer to a credential"),
        (
            webhook(json!({"signing_secret": {"from_env": "HOME"}})),
            "/signing_secret/from_env",
            "may not be read",
        ),
        (webhook(json!({"timeout_s": 0})), "/timeout_s", "at most 60 seconds"),
        (webhook(json!({"timeout_s": 61})), "/timeout_s", "at most 60 seconds"),
        (webhook(json!({"timeout_s": -1})), "/timeout_s", "at most 60 seconds"),
        (webhook(json!({"max_attempts": 0})), "/max_attempts", "outside 1..=100"),
        (webhook(json!({"max_attempts": 101})), "/max_attempts", "outside 1..=100"),
        (path("../out"), "/path", "below the folder"),
        (path("/etc/cron.d/x"), "/path", "below the folder"),
        (path(""), "/path", "below the folder"),
        (json!("stdout"), "", "expected an object"),
    ];
    for (sink, place, text) in table {
        let faults = refused(&submission(json!([{"kind": "stdout"}, sink])), &rules());
        assert_eq!(faults.len(), 1, "{sink}: {faults:?}");
        assert_eq!(faults[0].pointer, format!("/spec/sinks/1{place}"), "{sink}");
        assert!(faults[0].message.contains(text), "{sink}: {}", faults[0].message);
        assert!(!faults[0].message.contains("hunter2"), "{sink}: {}", faults[0].message);
    }
    let many = refused(&submission(json!(vec![json!({"kind": "stdout"}); 11])), &rules());
    assert_eq!((&*many[0].pointer, &*many[0].message), ("/spec/sinks", "11 sinks are more than 10"));
}

#[test]
fn fault_13_files_are_refused_unless_there_is_a_folder_for_them() {
    let submission = submission(json!([{"kind": "file", "path": "out.ndjson"}]));
    let rules = SubmissionRules { file_sinks: None, ..rules() };
    let faults = refused(&submission, &rules);
    assert!(faults[0].message.contains("AGENTEVALS_FILE_SINKS_DIR"), "{faults:?}");
}
