//! Results sent to a collector: a real socket, read as HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;

use assert_cmd::Command;
use serde_json::Value;

use crate::support::agentevals;

/// What a collector received in one request.
struct Received {
    request_line: String,
    headers: Vec<String>,
    body: Value,
}

/// Accepts one request and answers it with `status`.
fn collector(status: &'static str) -> (String, JoinHandle<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let handle = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_lowercase());
        }
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        let request_line = lines.remove(0);
        Received { request_line, headers: lines, body: serde_json::from_slice(&body).unwrap() }
    });
    (address, handle)
}

fn command(endpoint: &str) -> Command {
    let mut command = agentevals();
    command
        .args(["run", "multi-turn-bank.json", "-e", "multi-turn-bank.eval.json", "--emit-otel"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-token=a%20secret")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples"));
    command
}

#[test]
fn each_turn_has_a_record_in_the_context_of_its_span() {
    let (endpoint, handle) = collector("200 OK");
    let output = command(&endpoint).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let received = handle.join().unwrap();
    assert_eq!(received.request_line, "post /v1/logs http/1.1");
    assert!(received.headers.contains(&"x-token: a secret".to_owned()));
    let mut records = received.body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].clone();
    assert_eq!(records.as_array().unwrap().len(), 3);
    for record in records.as_array_mut().unwrap() {
        record["timeUnixNano"] = "TIME".into();
        record["observedTimeUnixNano"] = "TIME".into();
    }
    insta::assert_json_snapshot!(records[0]);
}

#[test]
fn a_collector_that_refuses_or_is_absent_costs_only_a_warning() {
    let (endpoint, handle) = collector("503 Service Unavailable");
    let output = command(&endpoint).output().unwrap();
    handle.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the collector answered 503"));
    let output = command("http://127.0.0.1:9").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("Connection refused") && !stderr.contains("secret"), "{stderr}");
}

#[test]
fn the_standard_variables_switch_it_off() {
    let output = command("http://127.0.0.1:9").env("OTEL_SDK_DISABLED", "true").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn variables_of_others_do_not_matter_when_nothing_is_sent() {
    let output = agentevals()
        .args(["run", "adk-travel.json", "-e", "adk-travel.eval.json"])
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")
        .env("OTEL_SDK_DISABLED", "")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn mistakes_in_variables_are_named_and_their_values_are_not() {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization: Bearer secret=="),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://user:secret@localhost"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "secret"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "secret"),
    ] {
        let output = command("http://127.0.0.1:9").env(name, value).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {stderr}");
        assert!(!stderr.contains("secret"), "{name}: {stderr}");
    }
    let output = command("http://user:secret@127.0.0.1:9").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("http://127.0.0.1:9/v1/logs") && !stderr.contains("secret"), "{stderr}");
}
