//! Load, extract and score generated recordings; prints MB/s and traces/s.
//!
//! `cargo bench --bench offline` measures OTLP and Jaeger JSON with 1, 50 and 5,000 traces, on one thread and on
//! all cores, in alternating rounds, and prints the median of each.

use std::fmt::Write;
use std::time::{Duration, Instant};

use agentevals::eval_set::EvalSet;
use agentevals::evaluation::{Evaluator, EvaluatorKind, GroupBy, Plan, Unmatched, Verdict, evaluate};
use agentevals::metrics::catalog::Builtin;
use agentevals::metrics::trajectory::TrajectoryOptions;
use agentevals::trace::{Document, Join, load};

const ROUNDS: usize = 7;

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{:12} {:>7} {:>8} {:>8} {:>10} {:>12} {:>8}",
        "format", "traces", "MB", "threads", "MB/s", "traces/s", "speed-up"
    );
    for traces in [1, 50, 5_000] {
        let eval_set = EvalSet::parse(&generate::eval_set(traces)).expect("the generated eval set is valid");
        for (format, text) in
            [("otlp-json", generate::otlp(traces)), ("jaeger-json", generate::jaeger(traces))]
        {
            let document = Document::from_bytes(format, text.into_bytes(), u64::MAX).expect("it is text");
            measure(format, traces, &[document], &eval_set, cores);
        }
    }
}

/// Measures one input on one thread and on all cores.
fn measure(format: &str, traces: usize, documents: &[Document], eval_set: &EvalSet, cores: usize) {
    let megabytes = documents.iter().map(|document| document.text().len()).sum::<usize>() as f64 / 1e6;
    let pools: Vec<_> = [1, cores]
        .iter()
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(*threads).build().expect("a pool starts"))
        .collect();
    let mut times = vec![Vec::new(); pools.len()];
    // Small inputs are repeated so that one sample is long enough to time.
    let repeats = ((2.0 / megabytes) as usize).clamp(1, 2_000);
    for _ in 0..ROUNDS {
        for (pool, times) in pools.iter().zip(&mut times) {
            let started = Instant::now();
            for _ in 0..repeats {
                pool.install(|| run(documents, eval_set));
            }
            times.push(started.elapsed() / repeats as u32);
        }
    }
    let medians: Vec<Duration> = times.into_iter().map(median).collect();
    for (median, threads) in medians.iter().zip([1, cores]) {
        let seconds = median.as_secs_f64();
        println!(
            "{format:12} {traces:>7} {megabytes:>8.2} {threads:>8} {:>10.0} {:>12.0} {:>8.2}",
            megabytes / seconds,
            traces as f64 / seconds,
            medians[0].as_secs_f64() / seconds
        );
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn run(documents: &[Document], eval_set: &EvalSet) {
    let builtin = |name: &str, metric| Evaluator {
        name: name.to_owned(),
        threshold: 0.5,
        kind: EvaluatorKind::Builtin { metric, trajectory: TrajectoryOptions::default() },
    };
    let plan = Plan {
        evaluators: vec![
            builtin("tool_trajectory_avg_score", Builtin::Trajectory),
            builtin("response_match_score", Builtin::ResponseMatch),
        ],
        group_by: GroupBy::Auto,
        lenient: false,
        unmatched: Unmatched::default(),
        max_concurrent_evals: 1,
    };
    let loaded = load(documents, None, Join::AcrossDocuments);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let report = runtime.block_on(evaluate(&loaded.traces, Some(eval_set), &plan, &(), &|| false));
    let report = report.expect("nobody stops it");
    assert_eq!(report.verdict, Verdict::Passed, "the generated traces match the generated eval set");
}

/// Recordings of an agent that answers a question with two tool calls, one trace per question.
mod generate {
    use super::Write;

    const ANSWER: &str = "The cheapest connection leaves at 09:24 from platform 7, changes once and arrives at \
        13:05; a seat by the window costs 34.90 in the first direction and 29.50 back.";

    /// A span as both formats write it; times in milliseconds, relative to the trace.
    struct Span {
        id: u64,
        /// 0 for the root.
        parent: u64,
        name: &'static str,
        start: u64,
        duration: u64,
        attributes: Vec<(&'static str, String)>,
    }

    /// The spans of one trace.
    fn spans(trace: usize) -> Vec<Span> {
        let question =
            format!("Question {trace}: which train takes me from Aarhus to Odense tomorrow morning?");
        let user = format!(r#"{{"role":"user","parts":[{{"type":"text","content":"{question}"}}]}}"#);
        let call = |id: &str, name: &str, day: usize| {
            format!(
                r#"{{"role":"assistant","parts":[{{"type":"tool_call","id":"{id}","name":"{name}","arguments":{{"from":"Aarhus","to":"Odense","day":{day}}}}}]}}"#
            )
        };
        let result = |id: &str| {
            format!(
                r#"{{"role":"tool","parts":[{{"type":"tool_call_response","id":"{id}","response":{{"connections":[{{"departs":"09:24","arrives":"13:05","platform":7}},{{"departs":"10:24","arrives":"14:05","platform":3}}],"currency":"DKK"}}}}]}}"#
            )
        };
        let answer = format!(
            r#"{{"role":"assistant","parts":[{{"type":"text","content":"{ANSWER}"}}],"finish_reason":"stop"}}"#
        );
        let first = call("call-1", "find_trains", trace);
        let second = call("call-2", "book_seat", trace);
        let model = |input: &[&str], output: &str| {
            vec![
                ("gen_ai.operation.name", "chat".to_owned()),
                ("gen_ai.provider.name", "openai".to_owned()),
                ("gen_ai.request.model", "gpt-4.1-mini".to_owned()),
                ("gen_ai.response.model", "gpt-4.1-mini-2025-04-14".to_owned()),
                ("gen_ai.usage.input_tokens", "812".to_owned()),
                ("gen_ai.usage.output_tokens", "64".to_owned()),
                ("gen_ai.input.messages", format!("[{}]", input.join(","))),
                ("gen_ai.output.messages", format!("[{output}]")),
                ("server.address", "api.example.com".to_owned()),
            ]
        };
        let tool = |id: &str, name: &str| {
            vec![
                ("gen_ai.operation.name", "execute_tool".to_owned()),
                ("gen_ai.tool.name", name.to_owned()),
                ("gen_ai.tool.call.id", id.to_owned()),
                ("gen_ai.tool.call.arguments", format!(r#"{{"from":"Aarhus","to":"Odense","day":{trace}}}"#)),
                ("gen_ai.tool.call.result", r#"{"connections":2,"currency":"DKK"}"#.to_owned()),
            ]
        };
        let agent = vec![
            ("gen_ai.operation.name", "invoke_agent".to_owned()),
            ("gen_ai.agent.name", "travel_desk".to_owned()),
            ("gen_ai.conversation.id", format!("conversation-{trace}")),
        ];
        let (one, two) = (result("call-1"), result("call-2"));
        let span = |id, name, start, duration, attributes| {
            let parent = if id == 1 { 0 } else { 1 };
            Span { id, parent, name, start, duration, attributes }
        };
        vec![
            span(1, "invoke_agent travel_desk", 0, 3_000, agent),
            span(2, "chat gpt-4.1-mini", 10, 900, model(&[&user], &first)),
            span(3, "execute_tool find_trains", 920, 200, tool("call-1", "find_trains")),
            span(4, "chat gpt-4.1-mini", 1_130, 700, model(&[&user, &first, &one], &second)),
            span(5, "execute_tool book_seat", 1_840, 150, tool("call-2", "book_seat")),
            span(6, "chat gpt-4.1-mini", 2_000, 950, model(&[&user, &first, &one, &second, &two], &answer)),
        ]
    }

    fn quoted(text: &str) -> String {
        serde_json::to_string(text).expect("a string is JSON")
    }

    fn join<T>(items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) -> String {
        let mut out = String::new();
        for (index, item) in items.into_iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            write(&mut out, item);
        }
        out
    }

    fn trace_id(trace: usize) -> String {
        format!("{:032x}", (trace as u128 + 1) * 0x9e37_79b9_7f4a_7c15)
    }

    /// All traces as one OTLP JSON document.
    pub(super) fn otlp(traces: usize) -> String {
        let all = join(
            (0..traces).flat_map(|trace| spans(trace).into_iter().map(move |span| (trace, span))),
            |out, (trace, span)| {
                let Span { id, parent, name, start, duration, attributes } = span;
                let start = 1_760_000_000_000 + trace as u64 * 5_000 + start;
                let parent =
                    if parent == 0 { String::new() } else { format!("{:016x}", parent + trace as u64 * 16) };
                let attributes = join(attributes, |out, (key, value)| {
                    let value = match key.contains(".usage.") {
                        true => format!(r#"{{"intValue":"{value}"}}"#),
                        false => format!(r#"{{"stringValue":{}}}"#, quoted(&value)),
                    };
                    write!(out, r#"{{"key":"{key}","value":{value}}}"#).expect("writing to a string");
                });
                write!(
                out,
                r#"{{"traceId":"{}","spanId":"{:016x}","parentSpanId":"{parent}","name":"{name}","kind":1,"startTimeUnixNano":"{start}000000","endTimeUnixNano":"{}000000","attributes":[{attributes}],"status":{{}}}}"#,
                trace_id(trace),
                id + trace as u64 * 16,
                start + duration
            )
            .expect("writing to a string");
            },
        );
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"travel"}}}}]}},"scopeSpans":[{{"scope":{{"name":"bench"}},"spans":[{all}]}}]}}]}}"#
        )
    }

    /// All traces as one Jaeger JSON document.
    pub(super) fn jaeger(traces: usize) -> String {
        let all = join(0..traces, |out, trace| {
            let spans = join(spans(trace), |out, Span { id, parent, name, start, duration, attributes }| {
                let start = (1_760_000_000_000 + trace as u64 * 5_000 + start) * 1_000;
                let references = match parent {
                    0 => String::new(),
                    parent => format!(
                        r#"{{"refType":"CHILD_OF","traceID":"{}","spanID":"{:016x}"}}"#,
                        trace_id(trace),
                        parent + trace as u64 * 16
                    ),
                };
                let tags = join(attributes, |out, (key, value)| {
                    let (kind, value) = match key.contains(".usage.") {
                        true => ("int64", value),
                        false => ("string", quoted(&value)),
                    };
                    write!(out, r#"{{"key":"{key}","type":"{kind}","value":{value}}}"#)
                        .expect("writing to a string");
                });
                write!(
                    out,
                    r#"{{"traceID":"{}","spanID":"{:016x}","operationName":"{name}","references":[{references}],"startTime":{start},"duration":{},"tags":[{tags}],"logs":[],"processID":"p1"}}"#,
                    trace_id(trace),
                    id + trace as u64 * 16,
                    duration * 1_000
                )
                .expect("writing to a string");
            });
            write!(
                out,
                r#"{{"traceID":"{}","spans":[{spans}],"processes":{{"p1":{{"serviceName":"travel","tags":[]}}}}}}"#,
                trace_id(trace)
            )
            .expect("writing to a string");
        });
        format!(r#"{{"data":[{all}]}}"#)
    }

    /// The golden eval set: one case per trace.
    pub(super) fn eval_set(traces: usize) -> String {
        let cases = join(0..traces, |out, trace| {
            let args = format!(r#"{{"day":{trace},"from":"Aarhus","to":"Odense"}}"#);
            write!(
                out,
                r#"{{"eval_id":"case-{trace}","conversation":[{{"user_content":{{"parts":[{{"text":"Question {trace}: which train takes me from Aarhus to Odense tomorrow morning?"}}]}},"final_response":{{"parts":[{{"text":"{ANSWER}"}}]}},"intermediate_data":{{"tool_uses":[{{"name":"find_trains","args":{args}}},{{"name":"book_seat","args":{args}}}]}}}}]}}"#
            )
            .expect("writing to a string");
        });
        format!(r#"{{"eval_set_id":"bench","eval_cases":[{cases}]}}"#)
    }
}
