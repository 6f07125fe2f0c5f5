//! Input that is broken, enormous or malicious: it is refused or read, in bounded time, and never a panic.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use agentevals::eval_set::EvalSet;
use agentevals::evaluation::Report;
use agentevals::extraction::{Conversation, extract};
use agentevals::metrics::EvalStatus;
use agentevals::trace::{DEFAULT_MAX_BYTES, Document, Join, LoadError, Trace, load};
use assert_cmd::Command;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    GOLDEN_METRICS, Outcome, TRACE, agentevals, assistant, chat, document, eval_set, evaluate, golden_turn,
    gzipped, jaeger, jaeger_span, key_values, otlp, question, read, read_documents, read_json, span, span_id,
    tool_call, tool_result, user,
};

/// What "very many" means for things that are cheap one by one.
const MANY: u64 = 100_000;

/// Reads bytes the way a file is read: to a document, then to turns.
fn read_bytes(bytes: &[u8]) -> Result<Outcome, LoadError> {
    let document = Document::read("hostile.json", bytes, DEFAULT_MAX_BYTES).expect("memory can be read")?;
    Ok(read_documents(&[document]))
}

/// What is wrong with bytes that cannot be taken as text.
fn refusal(bytes: &[u8], max_bytes: u64) -> String {
    let read = Document::read("hostile.json", bytes, max_bytes).expect("memory can be read");
    read.expect_err("the bytes are refused").to_string()
}

// ---- Shapes that exhaust stacks and quadratic algorithms

#[test]
fn deep_nesting_costs_no_more_than_the_value_it_is_in() {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let unclosed = [open.clone(), "{\"a\":".repeat(100_000), "{\"data\":".repeat(100_000)];
    let closed = [
        format!("{open}{close}"),
        format!("{{\"resourceSpans\":{open}{close}}}"),
        format!("{{\"resourceSpans\":[{{\"resource\":{{\"attributes\":{open}{close}}}}}]}}"),
        format!("{{\"traceId\":\"a\",\"spanId\":\"b\",\"attributes\":{open}{close}}}"),
        format!("{{\"data\":[{{\"processes\":{open}{close}}}]}}"),
        format!("{}0{}", "{\"data\":".repeat(100_000), "}".repeat(100_000)),
    ];
    let good = otlp([question(1, "Paint it", "Done")]);
    for (deep, is_closed) in
        unclosed.map(|deep| (deep, false)).into_iter().chain(closed.map(|deep| (deep, true)))
    {
        let outcome = read(&[&format!("{deep}\n{good}\n")]);
        assert_eq!(outcome.texts(), [("Paint it", "Done")]);
        match &outcome.errors[..] {
            [error] => assert!(error.contains("line 1") && error.len() < 300, "{error}"),
            errors => assert!(is_closed && errors.is_empty(), "{errors:?}"),
        }
    }
}

#[test]
fn deep_nesting_inside_a_string_is_kept_as_text() {
    let deep = "[".repeat(100_000);
    let mut call = question(1, "Paint it", "Done");
    let tool = json!({
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "t",
        "gen_ai.tool.call.arguments": deep,
    });
    let outcome = read_json(&[otlp([call.clone(), span(2, 1, tool)])]);
    assert_eq!(outcome.tools()[0].1.len(), deep.len() + r#"{"value": ""}"#.len());
    call["attributes"] = key_values(&json!({"gen_ai.operation.name": "chat", "gen_ai.input.messages": deep}));
    assert_eq!(read_json(&[otlp([call])]).texts(), [("", "")]);
}

/// Spans `1..=count`, one a line, each with the parent and the attributes that its number calls for.
fn spans(count: u64, parent: impl Fn(u64) -> u64, attributes: impl Fn(u64) -> String) -> String {
    let span = |number| {
        let (id, parent, start) = (span_id(number), span_id(parent(number)), number * 1000);
        let attributes = attributes(number);
        let ids = format!(r#""traceId":"{TRACE}","spanId":"{id}","parentSpanId":"{parent}""#);
        format!(r#"{{{ids},"startTimeUnixNano":{start},"attributes":{attributes}}}"#)
    };
    let lines: Vec<_> = (1..=count).map(span).collect();
    lines.join("\n")
}

/// No attributes, whatever the span.
fn none(_: u64) -> String {
    "[]".to_owned()
}

/// Loads one document and hands its only trace to `check`.
fn with_trace(text: &str, check: impl FnOnce(&Trace<'_>)) {
    let documents = [document("t", text)];
    let loaded = load(&documents, None, Join::default());
    assert_eq!((loaded.errors.len(), loaded.traces.len()), (0, 1));
    check(&loaded.traces[0]);
    extract(&[&loaded.traces[0]]);
}

fn codes(trace: &Trace<'_>) -> Vec<&'static str> {
    trace.warnings.to_vec().iter().map(|warning| warning.code).collect()
}

#[test]
fn a_cycle_of_parents_is_broken_at_its_first_span() {
    with_trace(&spans(MANY, |number| number % MANY + 1, none), |trace| {
        assert_eq!(trace.roots, [0]);
        assert_eq!(codes(trace), ["parent_cycle"]);
        let warning = &trace.warnings.to_vec()[0].text;
        assert_eq!(*warning, format!("parent cycle through {MANY} spans broken at {}", span_id(1)));
    });
}

#[test]
fn many_small_cycles_are_all_broken() {
    let partner = |number| if number % 2 == 0 { number - 1 } else { number + 1 };
    with_trace(&spans(MANY, partner, none), |trace| {
        assert_eq!(trace.roots.len() as u64, MANY / 2);
        assert_eq!(trace.warnings.to_vec().len(), 21); // 20 and a count
    });
}

#[test]
fn spans_that_are_their_own_parents_are_roots() {
    with_trace(&spans(MANY, |number| number, none), |trace| {
        assert_eq!(trace.roots.len() as u64, MANY);
        let last = trace.warnings.to_vec().pop().unwrap();
        assert_eq!(last.text, format!("{} more of this kind (parent_self)", MANY - 20));
    });
}

#[test]
fn a_tree_as_deep_as_it_has_spans_is_walked() {
    with_trace(&spans(MANY, |number| number - 1, none), |trace| assert_eq!(trace.roots, [0]));
}

#[test]
fn of_many_spans_with_one_id_the_first_is_kept() {
    let duplicate = span(1, 0, json!({})).to_string();
    let text =
        format!("{}\n{}", span(1, 0, json!({"first": true})), vec![duplicate; MANY as usize].join("\n"));
    with_trace(&text, |trace| {
        assert_eq!(trace.spans.len(), 1);
        assert_eq!(trace.spans[0].attributes.len(), 1);
        assert_eq!(codes(trace), ["span_duplicate"]);
    });
}

/// A document with one model call that has `count` further attributes.
fn document_with_attributes(count: u64) -> String {
    let text = otlp([question(1, "Paint it", "Done")]).to_string();
    let mut entries = String::with_capacity(count as usize * 50);
    for number in 0..count {
        entries.push_str(&format!(r#"{{"key":"k{number}","value":{{"intValue":"{number}"}}}},"#));
    }
    text.replacen(
        r#"{"key":"gen_ai.operation.name""#,
        &format!(r#"{entries}{{"key":"gen_ai.operation.name""#),
        1,
    )
}

#[test]
fn a_span_may_have_a_million_attributes() {
    let outcome = read(&[&document_with_attributes(1_000_000)]);
    assert_eq!(outcome.assert_clean().texts(), [("Paint it", "Done")]);
}

#[test]
fn nested_model_calls_are_one_call() {
    let usage = |number: u64| {
        let tokens = format!(r#"{{"key":"gen_ai.usage.input_tokens","value":{{"intValue":{number}}}}}"#);
        format!(r#"[{tokens},{{"key":"gen_ai.operation.name","value":{{"stringValue":"chat"}}}}]"#)
    };
    let outcome = read(&[&spans(MANY, |number| number - 1, usage)]);
    let performance = &outcome.conversation.performance;
    assert_eq!((performance.counts.llm_calls, performance.tokens.total_prompt), (1, MANY as i64));
}

/// A turn with one model call that asks for `count` tools and one that is shown their results.
fn turn_with_tools(count: usize, with_spans: bool) -> Conversation {
    let id = |number: usize| format!("call-{number}");
    let calls: Vec<_> = (0..count).map(|number| tool_call(&id(number), "f", json!({"n": number}))).collect();
    let results = (0..count).map(|number| tool_result(&id(number), json!({"n": number})));
    let history: Value = [user("Go")].into_iter().chain(calls.iter().cloned()).chain(results).collect();
    let mut spans = vec![
        span(1, 0, json!({"gen_ai.operation.name": "invoke_agent"})),
        chat(2, 1, json!([user("Go")]), json!(calls)),
        chat(1_000_000, 1, history, json!([assistant("Gone")])),
    ];
    let tool = |number: usize| {
        let name = json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "f"});
        span(number as u64 + 3, 1, name)
    };
    if with_spans {
        spans.extend((0..count).map(tool));
    }
    let documents = [document("t", otlp(spans).to_string())];
    let loaded = load(&documents, None, Join::default());
    extract(&[&loaded.traces[0]])
}

#[test]
fn a_turn_may_have_many_tool_calls() {
    const CALLS: usize = 10_000;
    for with_spans in [false, true] {
        let conversation = turn_with_tools(CALLS, with_spans);
        let calls = &conversation.invocations[0].tool_calls;
        assert_eq!(calls.len(), CALLS);
        for (number, call) in calls.iter().enumerate() {
            assert_eq!(call.args.value().to_json_text(), format!(r#"{{"n": {number}}}"#));
            assert_eq!(call.result.as_ref().unwrap().to_json_text(), format!(r#"{{"n": {number}}}"#));
        }
    }
}

// ---- Broken files

/// A small document of which every byte matters.
fn small_document() -> String {
    otlp([question(1, "Zeichne ein Bild: é, 日本, 🎨", "Fertig")]).to_string()
}

#[test]
fn a_document_cut_anywhere_is_an_error() {
    let text = small_document();
    for length in 0..text.len() {
        if let Ok(outcome) = read_bytes(&text.as_bytes()[..length]) {
            assert!(!outcome.errors.is_empty() && outcome.traces.is_empty(), "cut at {length}");
        }
    }
    assert_eq!(read_bytes(text.as_bytes()).unwrap().assert_clean().traces, [TRACE]);
}

#[test]
fn lines_cut_anywhere_keep_what_is_whole() {
    let (first, second) = (question(1, "Paint it", "Done"), question(2, "Cook it", "Eaten"));
    let text = format!("{first}\n{second}");
    let first = first.to_string().len();
    for length in first..text.len() {
        let outcome = read(&[&text[..length]]);
        assert_eq!(outcome.texts(), [("Paint it", "Done")], "cut at {length}");
        assert_eq!(outcome.errors.is_empty(), length <= first + 1, "cut at {length}");
    }
}

#[test]
fn gzip_cut_anywhere_is_an_error() {
    let bytes = gzipped(small_document().as_bytes());
    for length in 0..bytes.len() {
        match read_bytes(&bytes[..length]) {
            Err(LoadError::BadGzip { document, .. }) => assert_eq!(document, "hostile.json"),
            Err(other) => panic!("cut at {length}: {other}"),
            Ok(outcome) => assert!(length < 2 && !outcome.errors.is_empty(), "cut at {length}"),
        }
    }
}

#[test]
fn gzip_with_a_wrong_checksum_is_an_error() {
    let mut bytes = gzipped(small_document().as_bytes());
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    assert!(refusal(&bytes, DEFAULT_MAX_BYTES).starts_with("`hostile.json` is not a complete gzip file"));
}

#[test]
fn a_gzip_bomb_stops_at_the_limit() {
    let bomb = gzipped(&vec![b' '; 16 << 20]);
    assert!(bomb.len() < 200_000);
    let limit = "`hostile.json` is larger than 1048576 bytes, the limit";
    assert_eq!(refusal(&bomb, 1 << 20), limit);
    assert_eq!(refusal(&gzipped(&bomb), 1 << 10).replace("1024", "1048576"), limit);
}

#[test]
fn the_limit_is_exact() {
    let text = small_document();
    let length = text.len() as u64;
    for bytes in [text.as_bytes().to_vec(), gzipped(text.as_bytes())] {
        assert!(Document::read("t", &*bytes, length).unwrap().is_ok());
        assert!(refusal(&bytes, length - 1).contains("is larger than"));
        assert!(refusal(&bytes, 0).contains("is larger than 0 bytes"));
    }
}

#[test]
fn bytes_that_are_no_utf8_are_located() {
    let located = |offset| {
        format!("`hostile.json` is not UTF-8: invalid byte at offset {offset}; convert it to UTF-8 first")
    };
    assert_eq!(refusal(b"{\"a\":\"\xff\"}", DEFAULT_MAX_BYTES), located(6));
    assert_eq!(refusal(&gzipped(b"{\"a\":\"\xc3(\"}"), DEFAULT_MAX_BYTES), located(6));
    let utf16: Vec<u8> = small_document().encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(refusal(&[b"\xff\xfe", &*utf16].concat(), DEFAULT_MAX_BYTES), located(0));
}

#[test]
fn a_file_without_content_is_an_error() {
    for empty in ["", " \n\t\r\n", "\u{feff}", "\u{1e}\n"] {
        let errors = read(&[empty]).errors;
        assert_eq!(errors.len(), 1);
        assert!(errors[0].contains("the document is empty"), "{errors:?}");
    }
}

#[test]
fn half_an_emoji_costs_one_character() {
    let text = otlp([question(1, "Paint a HALF", "Done")]).to_string();
    for (escape, replaced) in
        [(r"\ud83d", "\u{fffd}"), (r"\udc4d", "\u{fffd}"), (r"\ud83d\ud83d\ude00", "\u{fffd}😀")]
    {
        // Inside a string inside a string, as messages are, and in the string of the document itself.
        for escape in [escape.replace('\\', r"\\"), escape.to_owned()] {
            let outcome = read(&[&text.replace("HALF", &escape)]);
            assert_eq!(outcome.assert_clean().texts(), [(&*format!("Paint a {replaced}"), "Done")]);
        }
    }
}

#[test]
fn junk_where_a_list_or_an_object_belongs_is_passed_over() {
    let good = otlp([question(1, "Paint it", "Done")]);
    for junk in
        ["null", "true", "0", "-1.5e300", "NaN", "\"x\"", "[]", "{}", "[[]]", "[null]", "{\"a\":null}"]
    {
        for place in
            ["resourceSpans", "batches", "resourceLogs", "trace", "data", "traceId", "resource_spans"]
        {
            let outcome = read(&[&format!("{{\"{place}\":{junk}}}\n{good}")]);
            assert_eq!(outcome.texts(), [("Paint it", "Done")], "{place}: {junk}");
        }
    }
}

// ---- Paths given to the program

/// Runs the program; it must end by itself, and soon.
fn run(arguments: &[&Path]) -> Output {
    let mut command = agentevals();
    command.arg("run").args(arguments).timeout(Duration::from_secs(120)).output().unwrap()
}

/// Checks that the program refuses a path with one line that names it.
fn assert_refused(path: &Path, reason: &str) {
    let output = run(&[path]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains(&format!("`{}`", path.display())), "{stderr}");
    assert!(stderr.contains(reason), "{stderr}");
    assert!(output.stdout.is_empty());
}

fn named_pipe(folder: &TempDir) -> std::path::PathBuf {
    let path = folder.path().join("pipe.json");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn paths_that_are_no_trace_files_are_refused() {
    let folder = TempDir::new().unwrap();
    assert_refused(folder.path(), "holds no trace files (.json, ");
    assert_refused(&folder.path().join("missing.json"), "No such file");
    assert_refused(Path::new("/dev/zero"), "a file");
    fs::write(folder.path().join("file.json"), "{}").unwrap();
    assert_refused(&folder.path().join("file.json/below.json"), "Not a directory");
}

#[test]
fn a_named_pipe_is_refused_and_not_waited_for() {
    let folder = TempDir::new().unwrap();
    let pipe = named_pipe(&folder);
    assert_refused(&pipe, "is a named pipe; send its content to standard input");
    assert_refused(folder.path(), "holds no trace files");
}

#[test]
fn an_unreadable_file_does_not_keep_the_others_from_being_read() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("bad.json.gz"), &gzipped(b"{}")[..10]).unwrap();
    fs::write(folder.path().join("good.json"), small_document()).unwrap();
    let output = run(&[folder.path(), Path::new("-m"), Path::new("inference_call_count_v1")]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("error: `") && stderr.contains("bad.json.gz` is not a complete gzip file"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("inference_call_count_v1"));
}

/// Runs the program on a text; it must end within the time that `run` gives it.
fn run_on(text: &str, arguments: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("hostile.json");
    fs::write(&file, text).unwrap();
    let arguments = arguments.iter().map(Path::new);
    run(&[&*file, Path::new("-m"), Path::new("inference_call_count_v1")]
        .into_iter()
        .chain(arguments)
        .collect::<Vec<_>>())
}

#[test]
fn a_document_that_only_opens_is_given_up_in_time() {
    let output = run_on(&"{\"a\":\n".repeat(MANY as usize), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("given up at line"));
}

#[test]
fn many_bad_lines_take_no_longer_than_good_ones() {
    let output = run_on(&"{x\n".repeat(MANY as usize), &[]);
    assert_eq!(output.status.code(), Some(2));
}

// ---- Memory

/// Runs a program and prints the peak of its memory in bytes; its exit code is passed on.
const MEASURE: &str = "import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(code)";

/// The most memory the program takes for this document, in bytes.
fn peak_bytes(text: &str) -> u64 {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("large.json");
    fs::write(&file, text).unwrap();
    let mut python = Command::new("python3");
    let program = assert_cmd::cargo::cargo_bin("agentevals");
    python.args(["-c", MEASURE]).arg(program).arg("run").arg(&file).args(["-m", "inference_call_count_v1"]);
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn assert_bounded(text: &str) {
    let (peak, size) = (peak_bytes(text), text.len() as u64);
    assert!(peak <= 4 * size + (16 << 20), "{} MB for a file of {} MB", peak >> 20, size >> 20);
}

/// An export of `turns` turns: an agent, two model calls with messages, a tool.
fn realistic_document(turns: u64) -> Value {
    let answer = "The forecast for tomorrow is sunny with a light wind from the west. ".repeat(20);
    let turn = |turn: u64| {
        let (id, first) = (format!("call-{turn}"), turn * 10 + 1);
        let ask = tool_call(&id, "forecast", json!({"city": "Paris", "days": 3, "units": "metric"}));
        let result = tool_result(&id, json!({"temperatures": [19.5, 21.0, 22.5], "sky": "clear"}));
        let tool = json!({
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "forecast",
            "gen_ai.tool.call.id": id,
        });
        let agent = json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "weather"});
        let mut spans = [
            span(first, 0, agent),
            chat(first + 1, first, json!([user("How will the weather be?")]), json!([ask])),
            span(first + 2, first, tool),
            chat(
                first + 3,
                first,
                json!([user("How will the weather be?"), ask, result]),
                json!([assistant(&answer)]),
            ),
        ];
        spans.iter_mut().for_each(|span| span["traceId"] = json!(format!("{:032x}", turn + 1)));
        spans
    };
    otlp((0..turns).flat_map(turn))
}

#[test]
fn memory_stays_within_four_times_the_file() {
    let text = realistic_document(5_600).to_string();
    assert!((19_500_000..23_000_000).contains(&text.len()), "{}", text.len());
    assert_bounded(&text);
}

#[test]
fn memory_for_a_million_attributes_stays_within_four_times_the_file() {
    assert_bounded(&document_with_attributes(1_000_000));
}

// ---- Properties

/// A small OTLP document in which every source of messages and facts occurs.
fn varied_otlp() -> Value {
    let agent = json!({
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "painter",
        "gen_ai.conversation.id": "c1",
        "agentevals.eval.case.id": "a",
    });
    let history = json!([
        user("Paint it"),
        tool_call("1", "brush", json!({"size": 3})),
        tool_result("1", json!({"ok": true}))
    ]);
    let tool = json!({
        "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "brush", "gen_ai.tool.call.id": "1",
        "gen_ai.tool.call.arguments": {"size": 3, "colors": ["red", 1.5, true]}, "error.type": "_OTHER",
    });
    let legacy = json!({
        "gen_ai.system": "x", "gen_ai.request.model": "m", "gen_ai.usage.prompt_tokens": 7,
        "gen_ai.usage.completion_tokens": -2,
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "Paint it",
        "gen_ai.completion.0.content": "Done", "gen_ai.completion.0.tool_calls.0.name": "brush",
        "gen_ai.completion.0.tool_calls.0.arguments": "{\"size\":4}",
        "gen_ai.completion.0.finish_reason": "tool_calls",
    });
    let asked = json!({"role": "user", "parts": [{"text": "Paint it"}]});
    let called = json!({"parts": [{"function_call": {"name": "f", "args": {}}}]});
    let usage = json!({"prompt_token_count": 3});
    let adk = json!({
        "gcp.vertex.agent.llm_request": json!({"model": "g", "contents": [asked]}).to_string(),
        "gcp.vertex.agent.llm_response": json!({"content": called, "usage_metadata": usage}).to_string(),
    });
    let mut adk = span(5, 1, adk);
    adk["name"] = json!("call_llm");
    let event = |name: &str, fields: Value| json!({"name": name, "attributes": key_values(&fields)});
    let asked = event("gen_ai.user.message", json!({"content": r#"[{"text":"Paint it"}]"#}));
    let answered = event("gen_ai.choice", json!({"message": r#"{"content":"Done"}"#}));
    let mut with_events = span(6, 1, json!({"gen_ai.operation.name": "chat"}));
    with_events["events"] = json!([asked, answered]);
    with_events["status"] = json!({"code": 2, "message": "late"});
    let mut document = otlp([
        span(1, 0, agent),
        chat(2, 1, json!([user("Paint it")]), json!([tool_call("1", "brush", json!({"size": 3}))])),
        span(3, 2, tool),
        span(4, 1, legacy),
        adk,
        with_events,
        chat(7, 1, history, json!([assistant("Done")])),
    ]);
    let log = json!({
        "traceId": TRACE, "spanId": span_id(6), "timeUnixNano": "5",
        "body": {"stringValue": "{\"content\":\"x\"}"},
        "attributes": [{"key": "event.name", "value": {"stringValue": "gen_ai.assistant.message"}}],
    });
    document["resourceLogs"] = json!([{"scopeLogs": [{"logRecords": [log]}]}]);
    document
}

fn document_of_varied_otlp() -> Document {
    document("hostile.json", varied_otlp().to_string())
}

/// A small eval set in which every member that is read occurs.
fn varied_eval_set() -> Value {
    let rubric = json!({"rubric_id": "r", "rubric_content": {"text_property": "is red"}});
    let mut turn = golden_turn("Paint it", "Done");
    turn["rubrics"] = json!([rubric]);
    turn["intermediateData"] = json!({
        "toolUses": [{"id": "1", "name": "brush", "args": {"size": 3}}, {"name": "brush"}],
        "tool_responses": [{"id": "1", "name": "brush", "response": {"ok": true}}],
        "intermediate_responses": [["agent", [{"text": "wait"}]]],
    });
    let mut other = golden_turn("Cook it", "");
    let call = json!({"function_call": {"name": "f", "args": null}});
    let answer = json!({"function_response": {"name": "f", "response": {}}});
    let event = json!({"author": "agent", "content": {"parts": [call, answer]}});
    other["intermediate_data"] = json!({"invocation_events": [event]});
    let scenario = json!({"starting_prompt": "Hi", "conversation_plan": "talk"});
    let session = json!({"app_name": "a", "user_id": "u", "state": {}});
    json!({"eval_set_id": "s", "name": "n", "creation_timestamp": 0.5, "eval_cases": [
        {"eval_id": "a", "conversation": [turn, other], "session_input": session, "final_session_state": {}},
        {"eval_id": "b", "conversation_scenario": scenario, "rubrics": [rubric]},
    ]})
}

/// A small Jaeger document.
fn varied_jaeger() -> Value {
    let call = json!({
        "gen_ai.operation.name": "chat", "span.kind": "client", "otel.status_code": "ERROR", "error": true,
        "gen_ai.input.messages": json!([user("Paint it")]).to_string(),
        "gen_ai.output.messages": json!([assistant("Done")]).to_string(),
    });
    let child = json!([
        {"refType": "FOLLOWS_FROM", "spanID": "7"},
        {"refType": "CHILD_OF", "traceID": TRACE, "spanID": span_id(1)},
    ]);
    let mut agent = jaeger_span(1, json!([]), json!({"gen_ai.operation.name": "invoke_agent"}));
    agent["tags"].as_array_mut().unwrap().push(json!({"key": "n", "type": "int64", "value": "12"}));
    let choice =
        [json!({"key": "event", "value": "gen_ai.choice"}), json!({"key": "content", "value": "Done"})];
    agent["logs"] = json!([{"timestamp": 5, "fields": choice}]);
    jaeger([agent, jaeger_span(2, child, call)])
}

/// One change to a text: where it is, how long, and what happens there.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(Index, u8),
    Delete(Index, usize),
    Duplicate(Index, usize, Index),
    Insert(Index, Vec<u8>),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let structure = prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\ud83d", "null", "1e999", "-", "\n{", "\u{1e}",
    ]);
    prop_oneof![
        (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (at(), 1..40_usize).prop_map(|(at, length)| Mutation::Delete(at, length)),
        (at(), 1..200_usize, at()).prop_map(|(at, length, to)| Mutation::Duplicate(at, length, to)),
        (at(), structure).prop_map(|(at, text)| Mutation::Insert(at, text.into())),
    ]
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Self::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Self::Delete(at, count) => {
                drop(bytes.drain(at.index(length)..length.min(at.index(length) + count)))
            }
            Self::Duplicate(at, count, to) => {
                let slice = bytes[at.index(length)..length.min(at.index(length) + count)].to_vec();
                bytes.splice(to.index(length)..to.index(length), slice);
            }
            Self::Insert(at, text) => {
                drop(bytes.splice(at.index(length)..at.index(length), text.iter().copied()))
            }
        }
    }
}

/// The places of all values in a document.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| places(item, &format!("{path}/{at}"), found));
        }
        Value::Object(members) => {
            let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
            members
                .iter()
                .for_each(|(name, member)| places(member, &format!("{path}/{}", escaped(name)), found));
        }
        _ => {}
    }
}

/// Replaces one of the values in a document, the document itself included.
fn replace(document: &mut Value, at: Index, by: Value) {
    let mut found = Vec::new();
    places(document, "", &mut found);
    let place = &found[at.index(found.len())];
    *document.pointer_mut(place).expect("the place was just found") = by;
}

/// A value of any type, with a liking for those that mean something.
fn junk() -> impl Strategy<Value = Value> {
    let texts = vec![
        "",
        "0",
        "-1",
        "x",
        "9223372036854775807",
        "1e400",
        "NaN",
        "true",
        "[]",
        "{}",
        "[{\"role\":1}]",
        "{\"parts\":[1]}",
        "<elided>",
        "chat",
    ];
    let numbers = vec![
        json!(0),
        json!(-1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1.5e300),
        json!(-0.5),
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        prop::sample::select(numbers),
        prop::sample::select(texts).prop_map(Value::from),
        Just(json!([])),
        Just(json!([null, [], {}])),
        Just(json!({})),
        Just(json!({"": {}, "values": [{}], "key": 1, "parts": [{"type": "tool_call"}]})),
    ]
}

/// The report as text, without how long things took.
fn stable_text(mut report: Report) -> String {
    for metric in report.traces.iter_mut().flat_map(|unit| &mut unit.metrics) {
        metric.duration_ms = None;
    }
    serde_json::to_string(&report).expect("a report is always JSON")
}

const ALL_METRICS: [&str; 6] = [
    "tool_trajectory_avg_score",
    "response_match_score",
    "tool_call_count_v1",
    "inference_call_count_v1",
    "token_usage_v1",
    "invocation_duration_v1",
];

fn golden() -> EvalSet {
    let mut turn = golden_turn("Paint it", "Done");
    turn["intermediate_data"] = json!({"tool_uses": [{"name": "brush", "args": {"size": 3}}]});
    eval_set(&[("a", json!([turn.clone()])), ("b", json!([golden_turn("Paint it", "Done"), turn]))])
}

/// Evaluates bytes in every way and checks what must hold whatever they are.
fn check_properties(bytes: &[u8]) {
    let Ok(document) = Document::from_bytes("hostile.json", bytes.to_vec(), DEFAULT_MAX_BYTES) else {
        return;
    };
    let (documents, golden) = ([document], golden());
    for lenient in [false, true] {
        for eval_set in [None, Some(&golden)] {
            let report = evaluate(&documents, &ALL_METRICS, eval_set, lenient);
            for metric in report.traces.iter().flat_map(|unit| &unit.metrics) {
                let is_share = metric.eval_status != EvalStatus::Informational;
                let scores = metric.per_invocation_scores.iter().chain([&metric.score]).flatten();
                for score in scores {
                    assert!(score.is_finite() && *score >= 0.0 && (!is_share || *score <= 1.0), "{metric:?}");
                }
            }
            let again = evaluate(&documents, &ALL_METRICS, eval_set, lenient);
            assert_eq!(stable_text(report), stable_text(again));
        }
    }
}

/// 256 cases each, or as many as `PROPTEST_CASES` says; no files are left behind.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn mutated_otlp_never_panics(mutations in prop::collection::vec(mutation(), 1..6)) {
        let mut bytes = varied_otlp().to_string().into_bytes();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        check_properties(&bytes);
    }

    #[test]
    fn mutated_jaeger_never_panics(mutations in prop::collection::vec(mutation(), 1..6)) {
        let mut bytes = varied_jaeger().to_string().into_bytes();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        check_properties(&bytes);
    }

    #[test]
    fn values_of_the_wrong_type_never_panic(
        is_otlp in any::<bool>(),
        changes in prop::collection::vec((any::<Index>(), junk()), 1..6),
    ) {
        let mut document = if is_otlp { varied_otlp() } else { varied_jaeger() };
        for (at, junk) in changes {
            replace(&mut document, at, junk);
        }
        check_properties(document.to_string().as_bytes());
    }

    #[test]
    fn eval_sets_of_any_shape_are_read_or_refused(
        changes in prop::collection::vec((any::<Index>(), junk()), 0..4),
    ) {
        let mut document = varied_eval_set();
        for (at, junk) in changes {
            replace(&mut document, at, junk);
        }
        match EvalSet::parse(&document.to_string()) {
            Ok(set) => {
                set.lint();
                evaluate(&[document_of_varied_otlp()], &GOLDEN_METRICS, Some(&set), false);
            }
            Err(error) => assert!(!error.faults().is_empty()),
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in r#"[\[\]{}:,"\\a-f0-9\n \u{1e}é.+eEuN-]{0,200}"#) {
        check_properties(text.as_bytes());
    }
}

#[test]
fn the_unchanged_documents_are_read_whole() {
    for document in [varied_otlp(), varied_jaeger()] {
        let outcome = read_json(&[document]);
        assert_eq!(outcome.texts(), [("Paint it", "Done")]);
        assert!(outcome.errors.is_empty());
    }
}

// ---- Faults found while these tests were written

#[test]
fn many_values_that_never_end_are_given_up_in_time() {
    for line in ["[\n", "{\"a\":\n", "[{},\n", "{\"a\":[\n"] {
        let output = run_on(&line.repeat(MANY as usize), &[]);
        assert_eq!(output.status.code(), Some(2), "{line}");
    }
}

#[test]
fn a_turn_continued_very_often_is_joined_in_time() {
    let call = |number: u64| {
        let input = match number {
            1 => json!([user("Go")]),
            _ => json!([tool_result(&(number - 1).to_string(), json!({"n": number}))]),
        };
        chat(number, 0, input, json!([tool_call(&number.to_string(), "f", json!({}))]))
    };
    let output = run_on(&otlp((1..=50_000).map(call)).to_string(), &[]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn very_many_indexed_tool_calls_are_read_in_time() {
    let mut attributes = json!({"gen_ai.operation.name": "chat", "gen_ai.prompt.0.content": "Go"});
    for number in 0..50_000 {
        attributes[format!("gen_ai.completion.0.tool_calls.{number}.name")] = json!("f");
    }
    let output = run_on(&otlp([span(1, 0, attributes)]).to_string(), &[]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn there_may_be_no_limit_at_all() {
    let bytes = gzipped(small_document().as_bytes());
    assert!(Document::read("t", &*bytes, u64::MAX).unwrap().is_ok());
}

#[test]
fn a_value_nested_too_deeply_costs_only_itself() {
    let mut deep = json!({"stringValue": "x"});
    for _ in 0..80 {
        deep = json!({"kvlistValue": {"values": [{"key": "k", "value": deep}]}});
    }
    let mut call = question(1, "Paint it", "Done");
    call["attributes"].as_array_mut().unwrap().push(json!({"key": "deep", "value": deep}));
    let outcome = read_json(&[otlp([call])]);
    assert_eq!(outcome.texts(), [("Paint it", "Done")]);
    outcome.warning("value_too_deep");
}

#[test]
fn text_from_a_file_cannot_forge_lines_or_move_the_cursor() {
    for text in ["{\"a\\nerror: forged\\u001b[2J\":1}", "[[1,\n2]]"] {
        let error = &read(&[text]).errors[0];
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn offsets_count_from_the_start_of_the_file() {
    assert!(refusal(b"\xef\xbb\xbf{\"a\":\"\xff\"}", DEFAULT_MAX_BYTES).contains("offset 9"));
}

#[test]
fn a_named_pipe_as_eval_set_or_configuration_is_not_waited_for() {
    let folder = TempDir::new().unwrap();
    let pipe = named_pipe(&folder);
    for option in ["--eval-set", "--config"] {
        let output = run_on(&small_document(), &[option, pipe.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{option}");
    }
}
