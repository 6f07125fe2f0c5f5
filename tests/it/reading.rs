//! Reading traces: every accepted shape, and each known fault of the reference that is mended here.
//!
//! A test of a mended fault names it (`// trace-formats fault 1`) and would fail on what the reference does.

use agentevals::eval_set::{CaseMatch, EvalSet};
use agentevals::evaluation::Verdict;
use agentevals::extraction::explicit_case_id;
use agentevals::trace::{DEFAULT_MAX_BYTES, Document, Join, load};
use assert_cmd::Command;
use serde_json::{Value, json};

use crate::support::{
    GOLDEN_METRICS, Outcome, TRACE, assistant, chat, document, eval_set, evaluate, golden_turn, gzipped,
    jaeger, jaeger_span, key_values, message_log, otlp, otlp_logs, question, read, read_documents, read_json,
    span, span_id, tool_call, tool_result, user,
};

/// One question and its answer.
fn paint() -> Value {
    question(1, "Paint it", "Done")
}

const PAINTED: [(&str, &str); 1] = [("Paint it", "Done")];

/// Start and id of the first root of the first trace.
fn first_root(text: &str) -> (i64, String) {
    let documents = [document("t", text)];
    let loaded = load(&documents, None, Join::default());
    let trace = &loaded.traces[0];
    let root = &trace.spans[trace.roots[0] as usize];
    (root.start_unix_nanos, root.id.to_string())
}

// ---- Shapes (trace-formats, sections 3 and 4)

#[test]
fn an_export_document_is_read() {
    let outcome = read_json(&[otlp([paint()])]);
    assert_eq!(outcome.assert_clean().texts(), PAINTED);
    assert_eq!(outcome.traces, [TRACE]);
    assert_eq!(outcome.conversation.service_name.as_deref(), Some("tests"));
}

#[test]
fn tempo_v1_batches_are_read() {
    let scope = json!({"instrumentationLibrary": {"name": "tests"}, "spans": [paint()]});
    let batches = json!({"batches": [{"resource": {}, "instrumentationLibrarySpans": [scope]}]});
    assert_eq!(read_json(&[batches]).assert_clean().texts(), PAINTED);
}

#[test]
fn the_tempo_v2_wrapper_is_read() {
    assert_eq!(read_json(&[json!({"trace": otlp([paint()])})]).assert_clean().texts(), PAINTED);
    let batches = json!({"trace": {"batches": otlp([paint()])["resourceSpans"]}});
    assert_eq!(read_json(&[batches]).assert_clean().texts(), PAINTED);
}

#[test]
fn the_wrapper_of_jaeger_v3_is_read() {
    assert_eq!(read_json(&[json!({"result": otlp([paint()])})]).assert_clean().texts(), PAINTED);
}

#[test]
fn logs_beside_the_tempo_wrapper_are_joined() {
    let mut wrapped = json!({"trace": otlp([span(1, 0, json!({"gen_ai.operation.name": "chat"}))])});
    let log = message_log(1, json!([user("Paint it")]), json!([assistant("Done")]));
    wrapped["resourceLogs"] = otlp_logs([log])["resourceLogs"].take();
    assert_eq!(read_json(&[wrapped]).assert_clean().texts(), PAINTED);
}

/// An export document in snake case whose attributes are a map.
fn snake_case_document() -> Value {
    let attributes = json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": json!([user("Paint it")]).to_string(),
        "gen_ai.output.messages": json!([assistant("Done")]).to_string(),
    });
    let span = json!({
        "trace_id": TRACE, "span_id": span_id(1), "parent_span_id": "", "name": "chat",
        "start_time_unix_nano": "1000000000", "end_time_unix_nano": "2000000000", "attributes": attributes,
    });
    json!({"resource_spans": [{"scope_spans": [{"scope": {"name": "tests"}, "spans": [span]}]}]})
}

#[test]
fn a_snake_case_document_is_read() {
    let outcome = read_json(&[snake_case_document()]);
    assert_eq!(outcome.assert_clean().texts(), PAINTED);
    assert_eq!(outcome.conversation.performance.latency.llm_calls.max, 1000.0);
}

#[test]
fn bare_spans_are_read_alone_in_lists_and_by_line() {
    let (first, second) = (paint(), span(2, 1, json!({})));
    assert_eq!(read_json(std::slice::from_ref(&first)).assert_clean().texts(), PAINTED);
    assert_eq!(read_json(&[json!([first, second])]).assert_clean().texts(), PAINTED);
    let lines = format!("{first}\r\n\n  {second}\n");
    let outcome = read(&[&lines]);
    assert_eq!(outcome.assert_clean().texts(), PAINTED);
    assert_eq!(outcome.traces.len(), 1);
}

#[test]
fn lines_may_mix_documents_logs_and_bare_spans() {
    let asked = message_log(2, json!([user("Paint it")]), json!([assistant("Done")]));
    let call = span(2, 1, json!({"gen_ai.operation.name": "chat"}));
    let lines = format!("{}\n{}\n{call}", otlp_logs([asked]), otlp([span(1, 0, json!({}))]));
    assert_eq!(read(&[&lines]).assert_clean().texts(), PAINTED);
}

#[test]
fn attributes_may_be_a_map_with_nested_maps() {
    let mut span = span(1, 0, json!({}));
    span["attributes"] = json!({
        "gen_ai": {
            "operation": {"name": "chat"},
            "request": {"model": "m-1"},
            "usage": {"input_tokens": 7, "output_tokens": "5"},
            "input": {"messages": [user("Paint it")]},
            "output.messages": [assistant("Done")],
        },
    });
    let outcome = read_json(&[otlp([span])]);
    assert_eq!(outcome.assert_clean().texts(), PAINTED);
    assert_eq!(outcome.conversation.performance.tokens.total, 12);
    assert!(outcome.conversation.performance.models.contains("m-1"));
}

#[test]
fn kind_and_status_may_be_numbers_or_names() {
    let cases = [
        (json!({"code": 2}), true),
        (json!({"code": "STATUS_CODE_ERROR"}), true),
        (json!({"code": "2"}), true),
    ];
    let fine = [json!({"code": 1}), json!({"code": "STATUS_CODE_OK"}), json!({}), json!(null)];
    for (status, failed) in cases.into_iter().chain(fine.map(|status| (status, false))) {
        for kind in [json!(3), json!("SPAN_KIND_CLIENT"), json!("3"), json!("UNKNOWN")] {
            let mut tool = span(
                2,
                1,
                json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t",
                    "gen_ai.tool.call.arguments": "{}"}),
            );
            (tool["status"], tool["kind"]) = (status.clone(), kind);
            let agent = span(1, 0, json!({"gen_ai.operation.name": "invoke_agent"}));
            let outcome = read_json(&[otlp([agent, tool])]);
            let call = &outcome.assert_clean().conversation.invocations[0].tool_calls[0];
            assert_eq!(call.failed, failed, "status {status}");
        }
    }
}

#[test]
fn a_jaeger_document_is_read() {
    let call = json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": json!([user("Paint it")]).to_string(),
        "gen_ai.output.messages": json!([assistant("Done")]).to_string(),
    });
    let agent = json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "painter"});
    let child = json!([{"refType": "CHILD_OF", "traceID": TRACE, "spanID": span_id(1)}]);
    let outcome = read_json(&[jaeger([jaeger_span(1, json!([]), agent), jaeger_span(2, child, call)])]);
    assert_eq!(outcome.assert_clean().texts(), PAINTED);
    assert_eq!(outcome.conversation.service_name.as_deref(), Some("tests"));
    assert_eq!(outcome.conversation.agent_name.as_deref(), Some("painter"));
    assert_eq!(outcome.conversation.performance.latency.overall.max, 2000.0);
}

#[test]
fn jaeger_logs_are_events_named_by_their_event_field() {
    let field = |key: &str, value: String| json!({"key": key, "type": "string", "value": value});
    let mut call = jaeger_span(1, json!([]), json!({"gen_ai.operation.name": "chat"}));
    call["logs"] = json!([{"timestamp": 1_500_000, "fields": [
        field("event", "gen_ai.client.inference.operation.details".into()),
        field("gen_ai.input.messages", json!([user("Paint it")]).to_string()),
        field("gen_ai.output.messages", json!([assistant("Done")]).to_string()),
    ]}]);
    assert_eq!(read_json(&[jaeger([call])]).assert_clean().texts(), PAINTED);
}

// ---- Known faults: trace formats

// trace-formats fault 1
#[test]
fn logs_in_another_file_are_joined() {
    let spans = otlp([span(1, 0, json!({"gen_ai.operation.name": "chat"}))]);
    let logs = otlp_logs([message_log(1, json!([user("Paint it")]), json!([assistant("Done")]))]);
    for documents in [[spans.clone(), logs.clone()], [logs, spans]] {
        assert_eq!(read_json(&documents).assert_clean().texts(), PAINTED);
    }
}

// trace-formats fault 2
#[test]
fn a_trace_split_over_files_becomes_one_tree() {
    let agent = span(1, 0, json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "painter"}));
    let call = chat(2, 1, json!([user("Paint it")]), json!([assistant("Done")]));
    let outcome = read_json(&[otlp([call]), otlp([agent])]);
    assert_eq!(outcome.assert_clean().traces, [TRACE]);
    assert_eq!(outcome.texts(), PAINTED);
    let turn = &outcome.conversation.invocations[0];
    assert_eq!((&*turn.span_id, outcome.conversation.agent_name.as_deref()), (&*span_id(1), Some("painter")));
}

// trace-formats fault 3
#[test]
fn a_byte_order_mark_is_dropped() {
    let text = format!("\u{feff}{}", otlp([paint()]));
    assert_eq!(read(&[&text]).assert_clean().texts(), PAINTED);
}

// trace-formats fault 3
#[test]
fn gzip_is_recognised_whatever_the_name() {
    let text = format!("{}\n", otlp([paint()]));
    let (first, second) = text.split_at(text.len() / 2);
    let two_members = [gzipped(first.as_bytes()), gzipped(second.as_bytes())].concat();
    for bytes in [gzipped(text.as_bytes()), gzipped(format!("\u{feff}{text}").as_bytes()), two_members] {
        let document = Document::read("plain.json", &*bytes, DEFAULT_MAX_BYTES).unwrap().unwrap();
        assert_eq!(read_documents(&[document]).assert_clean().texts(), PAINTED);
    }
}

/// Reads lines of which one is bad, checks that the others are kept, and returns the error about it.
fn error_of_bad_line(bad: &str, at: usize) -> String {
    let mut lines = vec![otlp([span(2, 0, json!({}))]).to_string(), otlp([paint()]).to_string()];
    lines.insert(at, bad.to_owned());
    let mut outcome = read(&[&lines.join("\n")]);
    assert_eq!(outcome.texts(), PAINTED, "{bad}");
    assert_eq!(outcome.errors.len(), 1, "{:?}", outcome.errors);
    outcome.errors.remove(0)
}

// trace-formats fault 4
#[test]
fn one_bad_line_is_reported_and_the_others_are_kept() {
    for (at, line) in [(0, 1), (1, 2), (2, 3)] {
        let error = error_of_bad_line("{\"a\": nope}", at);
        assert!(error.contains("`1.json`") && error.contains(&format!("line {line} column 8")), "{error}");
        let error = error_of_bad_line("not json", at);
        assert!(error.contains(&format!("line {line} column 2")), "{error}");
        let error = error_of_bad_line("{\"a\":1}", at);
        assert!(error.starts_with(&format!("`1.json`, line {line}: found an object with `a`")), "{error}");
    }
}

// trace-formats fault 4
#[test]
fn a_line_that_was_cut_costs_only_itself_wherever_it_was_cut() {
    let line = otlp([span(3, 1, json!({"key": "two\nlines"}))]).to_string();
    for length in 1..line.len() {
        for at in 0..3 {
            error_of_bad_line(&line[..length], at);
        }
    }
}

// trace-formats fault 4
#[test]
fn the_line_that_was_cut_is_named() {
    for cut in ["{\"resourceSpa", "{\"resourceSpans\":", "{\"resourceSpans\":[{\"scopeSpans\":[]}"] {
        let error = error_of_bad_line(cut, 0);
        assert!(error.contains("line 1"), "{cut}: {error}");
    }
}

// trace-formats fault 4
#[test]
fn many_bad_lines_are_counted_not_listed() {
    let lines = format!("{}{}\n", "{oops\n".repeat(500), otlp([paint()]));
    let outcome = read(&[&lines]);
    assert_eq!(outcome.texts(), PAINTED);
    assert_eq!(
        outcome.errors.last().map(String::as_str),
        Some("`1.json`: 490 more values could not be read")
    );
}

// trace-formats fault 4
#[test]
fn documents_that_follow_each_other_are_read() {
    let agent = otlp([span(1, 0, json!({"gen_ai.operation.name": "invoke_agent"}))]);
    let call = otlp([chat(2, 1, json!([user("Paint it")]), json!([assistant("Done")]))]);
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    for text in [
        format!("{agent}{call}"),
        format!("{}\n{}\n", pretty(&agent), pretty(&call)),
        format!("\u{1e}{agent}\n\u{1e}{call}\n"),
        format!("[{agent},{call}]"),
    ] {
        assert_eq!(read(&[&text]).assert_clean().texts(), PAINTED, "{text}");
    }
}

// trace-formats fault 5
#[test]
fn an_api_envelope_around_otlp_is_read() {
    let outcome = read_json(&[json!({"status": "ok", "data": otlp([paint()])})]);
    assert_eq!(outcome.assert_clean().texts(), PAINTED);
    let tempo = json!({"data": {"trace": otlp([paint()])}});
    assert_eq!(read_json(&[tempo]).assert_clean().texts(), PAINTED);
}

// trace-formats fault 5
#[test]
fn an_envelope_around_something_else_is_not_called_jaeger() {
    let outcome = read_json(&[json!({"data": {"rows": []}})]);
    let error = &outcome.errors[0];
    assert!(
        error.contains("found an object with `rows`") && !error.contains("is not jaeger-json"),
        "{error}"
    );
}

/// The arguments of the only tool call, which the span carries as this `AnyValue`.
fn argument(value: Value) -> Outcome {
    let agent = span(1, 0, json!({"gen_ai.operation.name": "invoke_agent"}));
    let mut tool = span(2, 1, json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"}));
    let map = json!({"kvlistValue": {"values": [{"key": "x", "value": value}]}});
    let entry = json!({"key": "gen_ai.tool.call.arguments", "value": map});
    tool["attributes"].as_array_mut().unwrap().push(entry);
    read_json(&[otlp([agent, tool])])
}

// trace-formats fault 6
#[test]
fn values_written_as_strings_keep_their_meaning() {
    for (value, arguments) in [
        (json!({"boolValue": "false"}), r#"{"x": false}"#),
        (json!({"boolValue": "true"}), r#"{"x": true}"#),
        (json!({"intValue": "9007199254740993"}), r#"{"x": 9007199254740993}"#),
        (json!({"intValue": "9.007199254740993e15"}), r#"{"x": 9007199254740993}"#),
        (json!({"doubleValue": "1.5"}), r#"{"x": 1.5}"#),
    ] {
        assert_eq!(argument(value).assert_clean().tools()[0].1, arguments);
    }
}

// trace-formats fault 6
#[test]
fn an_integer_that_is_none_is_a_warning_and_not_zero() {
    let outcome = argument(json!({"intValue": "seven"}));
    assert_eq!(outcome.tools()[0].1, r#"{"x": null}"#);
    assert!(outcome.warning("attribute_unreadable").contains(&span_id(2)));
}

// trace-formats fault 6
#[test]
fn times_are_exact_however_they_are_written() {
    for time in [
        json!("1700000000001000003"),
        json!(1_700_000_000_001_000_003_i64),
        json!("1.700000000001000003e18"),
        json!("1700000000001000003.0"),
    ] {
        let mut span = paint();
        (span["startTimeUnixNano"], span["endTimeUnixNano"]) = (time.clone(), time);
        assert_eq!(first_root(&otlp([span]).to_string()).0, 1_700_000_000_001_000_003);
    }
}

// trace-formats fault 6
#[test]
fn a_malformed_start_does_not_put_a_span_first() {
    let (mut late, early) = (span(9, 0, json!({})), span(3, 0, json!({})));
    late["startTimeUnixNano"] = json!("2026-01-01T00:00:00Z");
    let document = otlp([late, early]);
    assert_eq!(first_root(&document.to_string()), (3_000_000_000, span_id(3)));
    assert!(read_json(&[document]).warning("time_unreadable").contains(&span_id(9)));
}

// trace-formats fault 7
#[test]
fn padded_and_unpadded_ids_join() {
    let (padded, unpadded) = ("00000000000000000123456789abcdef", "123456789ABCDEF");
    let mut agent = span(0x1a, 0, json!({"gen_ai.operation.name": "invoke_agent"}));
    let mut call = span(2, 0, json!({"gen_ai.operation.name": "chat"}));
    let mut log = message_log(2, json!([user("Paint it")]), json!([assistant("Done")]));
    (agent["traceId"], call["traceId"], log["traceId"]) = (json!(padded), json!(unpadded), json!(padded));
    (call["parentSpanId"], log["spanId"]) = (json!("1A"), json!("2"));
    let outcome = read_json(&[otlp([agent]), otlp([call]), otlp_logs([log])]);
    assert_eq!(outcome.assert_clean().traces, [padded]);
    assert_eq!(outcome.texts(), PAINTED);
    assert_eq!(outcome.conversation.invocations[0].span_id, span_id(0x1a));
}

// trace-formats fault 7
#[test]
fn jaeger_and_otlp_exports_of_one_trace_join() {
    let mut agent = jaeger_span(1, json!([]), json!({"gen_ai.operation.name": "invoke_agent"}));
    agent["traceID"] = json!("123456789abcdef");
    let mut call = chat(2, 1, json!([user("Paint it")]), json!([assistant("Done")]));
    call["traceId"] = json!("00000000000000000123456789abcdef");
    let outcome = read_json(&[jaeger([agent]), otlp([call])]);
    assert_eq!(outcome.assert_clean().traces.len(), 1);
    assert_eq!(outcome.conversation.invocations[0].span_id, span_id(1));
}

// trace-formats fault 7
#[test]
fn ids_that_were_converted_or_are_no_ids_are_warnings() {
    let mut base64 = paint();
    base64["traceId"] = json!("Cvdlmb/9Sds0i6HL3kz2mA==");
    let outcome = read_json(&[otlp([base64])]);
    assert_eq!((outcome.texts(), outcome.traces.len()), (PAINTED.to_vec(), 1));
    assert_eq!(outcome.traces[0].len(), 32);
    outcome.warning("ids_base64");
    let mut named = paint();
    named["spanId"] = json!("Span-7");
    assert!(read_json(&[otlp([named])]).warning("id_not_hex").contains("span-7"));
}

// trace-formats fault 8
#[test]
fn a_jaeger_reference_into_another_trace_is_no_parent() {
    let tool = json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"});
    let answer = json!([assistant("Done")]).to_string();
    let call = json!({"gen_ai.operation.name": "chat", "gen_ai.output.messages": answer});
    let elsewhere =
        json!({"refType": "CHILD_OF", "traceID": "ffffffffffffffffffffffffffffffff", "spanID": span_id(1)});
    let here = json!({"refType": "CHILD_OF", "traceID": TRACE, "spanID": span_id(2)});
    let spans = |references| {
        let agent = jaeger_span(2, json!([]), json!({"gen_ai.operation.name": "invoke_agent"}));
        jaeger([jaeger_span(1, json!([]), tool.clone()), agent, jaeger_span(3, references, call.clone())])
    };
    let outcome = read_json(&[spans(json!([elsewhere]))]);
    assert_eq!(outcome.conversation.invocations[0].span_id, span_id(3));
    let outcome = read_json(&[spans(json!([elsewhere, here]))]);
    assert_eq!(outcome.conversation.invocations[0].span_id, span_id(2));
}

// trace-formats fault 9
#[test]
fn snake_case_is_understood_below_a_camel_case_root() {
    let mut document = snake_case_document();
    let lists = document["resource_spans"].take();
    let outcome = read_json(&[json!({"resourceSpans": lists})]);
    assert_eq!(outcome.assert_clean().texts(), PAINTED);
    let mut span = lists[0]["scope_spans"][0]["spans"][0].clone();
    assert_eq!(read_json(&[span.clone()]).assert_clean().texts(), PAINTED);
    span["attributes"] = json!([{"key": "my_key", "value": {"string_value": "kept_as_is"}}]);
    let documents = [document_of(&span)];
    let loaded = load(&documents, None, Join::default());
    assert_eq!(loaded.traces[0].spans[0].attributes.get("my_key").unwrap().as_str(), Some("kept_as_is"));
}

fn document_of(value: &Value) -> Document {
    document("t", value.to_string())
}

// trace-formats fault 9
#[test]
fn a_list_of_the_wrong_type_is_a_warning() {
    for misplaced in [json!({"resource_spans": {"a": 1}}), json!({"resourceSpans": [{"scopeSpans": "none"}]})]
    {
        assert!(read_json(&[misplaced]).warning("items_rejected").contains("`1.json`: 1 items"));
    }
}

// trace-formats fault 10
#[test]
fn rejected_spans_are_counted_with_their_place() {
    let (mut nameless, mut zero) = (span(2, 0, json!({})), span(3, 0, json!({})));
    nameless.as_object_mut().unwrap().remove("spanId");
    zero["traceId"] = json!("0".repeat(32));
    let lines = format!("{}\n{nameless}\n{nameless}\n{zero}\n", paint());
    let outcome = read(&[&lines]);
    assert_eq!(outcome.texts(), PAINTED);
    let texts: Vec<_> = outcome.warnings.iter().map(|warning| (warning.code, &*warning.text)).collect();
    assert_eq!(
        texts,
        [
            (
                "spans_rejected",
                "`1.json`: 2 spans rejected for no trace id or no span id, first at line 2 column 1"
            ),
            (
                "spans_rejected",
                "`1.json`: 1 spans rejected for an id of zeros only, first at line 4 column 1"
            ),
        ]
    );
}

// trace-formats fault 11
#[test]
fn only_log_records_are_counted_and_named_as_the_reason() {
    let logs = otlp_logs([message_log(1, json!([user("Paint it")]), json!([assistant("Done")]))]);
    let outcome = read_json(std::slice::from_ref(&logs));
    assert_eq!((outcome.traces.len(), outcome.log_records), (0, 1));
    outcome.warning("logs_unattributed");
    let mut command = Command::cargo_bin("agentevals").unwrap();
    let output = command.args(["run", "-"]).write_stdin(logs.to_string()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("only 1 log records; give the file with the spans too"), "{stderr}");
}

// ---- Known faults: extraction

// extraction fault 1
#[test]
fn tool_call_arguments_that_are_no_json_are_kept_as_text() {
    let call = chat(1, 0, json!([user("Search")]), json!([tool_call("1", "search", json!("red, not JSON"))]));
    let outcome = read_json(&[otlp([call])]);
    assert_eq!(outcome.tools(), [("search", r#"{"value": "red, not JSON"}"#.into(), "null".into())]);
}

// extraction fault 2
#[test]
fn a_trace_of_tools_only_says_why_it_has_no_turn() {
    let tool = json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"});
    let outcome = read_json(&[otlp([span(1, 0, json!({})), span(2, 1, tool.clone()), span(3, 1, tool)])]);
    assert!(outcome.warning("tools_without_model_call").contains(&span_id(1)));
    let reason = outcome.conversation.emptiness.as_deref().unwrap();
    assert!(reason.contains("of 3 spans 0 are agents, 2 tools and none a model call"), "{reason}");
}

// extraction fault 3
#[test]
fn logs_that_cannot_be_placed_are_warnings() {
    let log = message_log(0, json!([user("Paint it")]), json!([assistant("Done")]));
    let call = |number| span(number, 0, json!({"gen_ai.operation.name": "chat"}));
    let placed = read_json(&[otlp([call(1)]), otlp_logs([log.clone()])]);
    assert_eq!(placed.assert_clean().texts(), PAINTED);
    let ambiguous = read_json(&[otlp([call(1), call(2)]), otlp_logs([log])]);
    assert!(
        ambiguous.warning("logs_ambiguous").contains("1 log records name no span and the trace has 2 model")
    );
    let unknown = message_log(9, json!([user("Paint it")]), json!([assistant("Done")]));
    let unknown = read_json(&[otlp([call(1)]), otlp_logs([unknown])]);
    assert!(unknown.warning("logs_unknown_span").starts_with("1 log records"));
}

/// A model call with these deprecated message events.
fn call_with_events(number: u64, events: &[(&str, Value)]) -> Value {
    let mut call = span(number, 0, json!({"gen_ai.operation.name": "chat"}));
    let event = |(name, fields): &(&str, Value)| json!({"name": name, "attributes": key_values(fields)});
    call["events"] = events.iter().map(event).collect();
    call
}

// extraction fault 4
#[test]
fn message_events_that_carry_json_in_strings_are_understood() {
    let function = json!({"name": "search", "arguments": r#"{"q":"red"}"#});
    let message = json!({"content": null, "tool_calls": [{"id": "1", "function": function}]});
    let content = json!([{"type": "text", "text": "Paint "}, {"type": "text", "text": "it"}]);
    let first = call_with_events(
        1,
        &[
            ("gen_ai.user.message", json!({"content": content.to_string()})),
            ("gen_ai.choice", json!({"message": message.to_string(), "finish_reason": "tool_calls"})),
        ],
    );
    let second = call_with_events(
        2,
        &[
            ("gen_ai.user.message", json!({"content": content.to_string()})),
            ("gen_ai.assistant.message", json!({"tool_calls": message["tool_calls"].to_string()})),
            ("gen_ai.tool.message", json!({"id": "1", "content": r#"{"n": 3}"#})),
            ("gen_ai.choice", json!({"message": r#"{"content":"Done"}"#})),
        ],
    );
    let outcome = read_json(&[otlp([first, second])]);
    assert_eq!(outcome.assert_clean().texts(), PAINTED);
    assert_eq!(outcome.tools(), [("search", r#"{"q": "red"}"#.into(), r#"{"n": 3}"#.into())]);
}

// extraction fault 8
#[test]
fn continuations_are_found_across_overlapping_conversations() {
    let asks = |number, text: &str, id: &str| {
        chat(number, 0, json!([user(text)]), json!([tool_call(id, "f", json!({}))]))
    };
    let answers = |number, text: &str, id: &str, answer: &str| {
        let input = json!([user(text), tool_call(id, "f", json!({})), tool_result(id, json!({"ok": id}))]);
        chat(number, 0, input, json!([assistant(answer)]))
    };
    let outcome = read_json(&[otlp([
        asks(1, "first", "a"),
        asks(2, "second", "b"),
        answers(3, "first", "a", "one"),
        answers(4, "second", "b", "two"),
    ])]);
    assert_eq!(outcome.assert_clean().texts(), [("first", "one"), ("second", "two")]);
    let results = [("f", "{}".into(), r#"{"ok": "a"}"#.into()), ("f", "{}".into(), r#"{"ok": "b"}"#.into())];
    assert_eq!(outcome.tools(), results);
}

// extraction fault 9
#[test]
fn the_case_id_is_that_of_the_earliest_span() {
    let named = |number, id: &str| span(number, 0, json!({"agentevals.eval.case.id": id}));
    let documents = [document_of(&otlp([named(5, "late"), named(3, "early"), named(4, "middle")]))];
    let loaded = load(&documents, None, Join::default());
    assert_eq!(explicit_case_id(&[&loaded.traces[0]]).as_deref(), Some("early"));
}

// extraction fault 9
#[test]
fn the_service_name_is_that_of_the_earliest_span() {
    let serve = |number, name: &str| {
        let mut document = otlp([question(number, "Hi", "Hello")]);
        document["resourceSpans"][0]["resource"]["attributes"] = key_values(&json!({"service.name": name}));
        document
    };
    let outcome = read_json(&[serve(5, "late"), serve(3, "early")]);
    assert_eq!(outcome.assert_clean().conversation.service_name.as_deref(), Some("early"));
}

// ---- Known faults: eval sets

/// The score of the metric that compares tool calls.
fn trajectory(document: &Value, eval_set: &EvalSet, lenient: bool) -> Option<f64> {
    let report = evaluate(&[document_of(document)], &GOLDEN_METRICS, Some(eval_set), lenient);
    report.traces[0].metrics[0].score
}

/// A golden turn that expects this `intermediate_data`.
fn golden_tools(data: Value) -> Value {
    let mut turn = golden_turn("Search", "Found");
    turn["intermediate_data"] = data;
    turn
}

/// A turn in which the agent calls `search` with these arguments.
fn searched(arguments: Value) -> Value {
    let agent = span(1, 0, json!({"gen_ai.operation.name": "invoke_agent"}));
    let call = chat(2, 1, json!([user("Search")]), json!([tool_call("1", "search", arguments.clone())]));
    let history =
        json!([user("Search"), tool_call("1", "search", arguments), tool_result("1", json!({"n": 3}))]);
    otlp([agent, call, chat(3, 1, history, json!([assistant("Found")]))])
}

// eval-sets fault 4
#[test]
fn omitted_arguments_mean_no_arguments() {
    let omitted = eval_set(&[("a", json!([golden_tools(json!({"tool_uses": [{"name": "search"}]}))]))]);
    assert_eq!(trajectory(&searched(json!({})), &omitted, false), Some(1.0));
    assert_eq!(trajectory(&searched(json!({"q": 1})), &omitted, false), Some(0.0));
    assert_eq!(trajectory(&searched(json!({})), &omitted, true), Some(0.0));
    let any =
        eval_set(&[("a", json!([golden_tools(json!({"tool_uses": [{"name": "search", "args": null}]}))]))]);
    assert_eq!(trajectory(&searched(json!({"q": 1})), &any, false), Some(1.0));
}

// eval-sets fault 5
#[test]
fn invocation_events_yield_the_expected_tool_calls() {
    let event = |part: Value| json!({"author": "agent", "content": {"role": "model", "parts": [part]}});
    let call = event(json!({"function_call": {"id": "9", "name": "search", "args": {"q": "red"}}}));
    let response = event(json!({"function_response": {"id": "9", "name": "search", "response": {"n": 3}}}));
    let set = eval_set(&[("a", json!([golden_tools(json!({"invocation_events": [call, response]}))]))]);
    let expected = &set.cases[0].conversation[0].tool_calls[0];
    assert_eq!(expected.result.as_ref().unwrap().to_json_text(), r#"{"n": 3}"#);
    assert_eq!(trajectory(&searched(json!({"q": "red"})), &set, false), Some(1.0));
    assert_eq!(trajectory(&searched(json!({"q": "blue"})), &set, false), Some(0.0));
}

// eval-sets fault 6
#[test]
fn members_of_the_set_that_are_not_read_are_pointed_out() {
    let error = EvalSet::parse(r#"{"evalSetId":"s","evalCases":[]}"#).unwrap_err().faults();
    assert!(
        error.iter().any(|fault| fault.contains("`evalCases` is not read here, write `eval_cases`")),
        "{error:?}"
    );
    let set = EvalSet::parse(r#"{"eval_set_id":"s","eval_cases":[],"descripton":"x"}"#).unwrap();
    assert!(set.lint().iter().any(|fault| fault.path == "$.descripton"));
}

// eval-sets fault 7
#[test]
fn duplicate_eval_ids_are_found() {
    let turn = |text| json!([golden_turn(text, "")]);
    let set = eval_set(&[("a", turn("one")), ("a", turn("two"))]);
    let lint: Vec<_> = set.lint().iter().map(ToString::to_string).collect();
    assert_eq!(lint, ["$.eval_cases[1]: duplicate eval_id `a`; case 0 has it already"]);
}

// eval-sets fault 8
#[test]
fn cases_that_differ_only_later_are_told_apart() {
    let conversation = |second: &str| json!([golden_turn("Hello", "Hi"), golden_turn(second, "Done")]);
    let set = eval_set(&[("red", conversation("Paint it red")), ("blue", conversation("Paint it BLUE"))]);
    let conversation = |seconds: [&str; 2]| {
        let turns = [question(1, "hello", "Hi"), question(2, seconds[0], "Done")];
        let mut other = [question(3, "Hello", "Hi"), question(4, seconds[1], "Done")];
        other.iter_mut().for_each(|span| span["traceId"] = json!("f".repeat(32)));
        document_of(&otlp(turns.into_iter().chain(other)))
    };
    let strict =
        evaluate(&[conversation(["paint it blue", "Paint it red"])], &GOLDEN_METRICS, Some(&set), false);
    let found: Vec<_> =
        strict.traces.iter().map(|unit| (unit.eval_case_id.as_deref(), unit.eval_case_match)).collect();
    assert_eq!(found, [(Some("blue"), Some(CaseMatch::UserText)), (Some("red"), Some(CaseMatch::UserText))]);
    assert_eq!(strict.verdict, Verdict::Passed);
    let lenient =
        evaluate(&[conversation(["paint it blue", "Paint it red"])], &GOLDEN_METRICS, Some(&set), true);
    assert_eq!(lenient.traces[0].eval_case_id, None);
    assert_eq!(
        lenient.traces[0].metrics[0].reason(),
        Some("ambiguous eval case: red, blue start with the same user text")
    );
    let neither =
        evaluate(&[conversation(["paint it green", "Paint it red"])], &GOLDEN_METRICS, Some(&set), false);
    assert_eq!(neither.traces[0].eval_case_id, None);
    assert_eq!(neither.verdict, Verdict::Failed);
}

// eval-sets fault 9
#[test]
fn pairing_unrelated_conversations_is_a_warning() {
    let set = eval_set(&[("a", json!([golden_turn("Cook it", "Done")]))]);
    let report = evaluate(&[document_of(&otlp([paint()]))], &GOLDEN_METRICS, Some(&set), false);
    assert_eq!(report.traces[0].eval_case_match, Some(CaseMatch::SingleCase));
    let warning = &report.traces[0].warnings[0];
    assert_eq!(warning.code, "case_text_differs");
    assert!(warning.text.contains(r#""Paint it" is not "Cook it""#), "{}", warning.text);
}

// ---- Faults found while these tests were written

// trace-formats fault 4
#[test]
fn a_cut_record_of_a_text_sequence_costs_only_itself() {
    let good = otlp([paint()]).to_string();
    let outcome = read(&[&format!("\u{1e}{}\n\u{1e}{good}\n", &good[..80])]);
    assert_eq!((outcome.errors.len(), outcome.texts()), (1, PAINTED.to_vec()));
}

// trace-formats fault 4
#[test]
fn an_indented_line_after_a_bad_one_is_read() {
    let outcome = read(&[&format!("{{oops\n  {}\n", otlp([paint()]))]);
    assert_eq!((outcome.errors.len(), outcome.texts()), (1, PAINTED.to_vec()));
}

// trace-formats fault 5
#[test]
fn an_envelope_around_a_list_of_otlp_is_read_or_reported() {
    let outcome = read_json(&[json!({"data": [otlp([paint()])]})]);
    assert!(outcome.texts() == PAINTED || !outcome.errors.is_empty() || !outcome.warnings.is_empty());
}

// trace-formats fault 6
#[test]
fn leading_zeros_do_not_change_a_number() {
    for time in ["000000000000000000000000000012.0", "0.0000000000000000000000012e25"] {
        let mut span = paint();
        span["startTimeUnixNano"] = json!(time);
        assert_eq!(first_root(&otlp([span]).to_string()).0, 12, "{time}");
    }
}

#[test]
fn arguments_with_half_an_emoji_are_still_json() {
    let call =
        chat(1, 0, json!([user("Say")]), json!([tool_call("1", "say", json!(r#"{"text":"\ud83d"}"#))]));
    assert_eq!(read_json(&[otlp([call])]).tools()[0].1, "{\"text\": \"\u{fffd}\"}");
}

#[test]
fn cases_that_are_never_used_are_not_missed() {
    let scenario = json!({"starting_prompt": "Hi", "conversation_plan": "talk"});
    let cases = json!([
        {"eval_id": "a", "conversation": [golden_turn("Paint it", "Done")]},
        {"eval_id": "b", "conversation_scenario": scenario},
        {"eval_id": "c", "conversation": []},
    ]);
    let set = EvalSet::parse(&json!({"eval_set_id": "s", "eval_cases": cases}).to_string()).unwrap();
    let report = evaluate(&[document_of(&otlp([paint()]))], &GOLDEN_METRICS, Some(&set), false);
    assert_eq!((report.unmatched_eval_cases, report.verdict), (Vec::new(), Verdict::Passed));
}

#[test]
fn a_jaeger_parent_is_found_when_ids_are_base64() {
    let (trace, first) = ("Cvdlmb/9Sds0i6HL3kz2mA==", "AAAAAAAAAAE=");
    let mut agent = jaeger_span(1, json!([]), json!({"gen_ai.operation.name": "invoke_agent"}));
    let child = json!([{"refType": "CHILD_OF", "traceID": trace, "spanID": first}]);
    let mut call = jaeger_span(2, child, json!({"gen_ai.operation.name": "chat"}));
    (agent["traceID"], agent["spanID"], call["traceID"]) = (json!(trace), json!(first), json!(trace));
    assert_eq!(read_json(&[jaeger([agent, call])]).conversation.invocations[0].span_id, span_id(1));
}
