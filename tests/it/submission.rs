//! Submissions: what is taken, what is refused and where the fault is said to be.

use std::time::Duration;

use agentevals::evaluation::config::CodeRule;
use agentevals::json::checked::Fault;
use agentevals::spec::{Submission, SubmissionError, SubmissionRules};

/// The smallest trace that can be read.
const TRACE: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"c9d9481f4d5aa027fc5e888af2158790","spanId":"5f17d6a4efa902bb","name":"invoke_agent a","startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}"#;

fn submit(body: &str) -> Result<Submission, SubmissionError> {
    Submission::parse(body, &SubmissionRules::default())
}

/// A submission of [`TRACE`] with more members in its specification.
fn inline(more: &str) -> String {
    format!(r#"{{"spec":{{"target":{{"kind":"inline","inline":{TRACE}}}{more}}}}}"#)
}

fn with_fields(more: &str) -> String {
    format!(r#"{{"spec":{{"target":{{"kind":"inline","inline":{TRACE}}}}},{more}}}"#)
}

/// A submission whose trace is elsewhere, with more members in its specification.
fn fetched(more: &str) -> String {
    let target = r#"{"kind":"http","baseUrl":"https://h/traces","traceId":"c9d9481f4d5aa027"}"#;
    format!(r#"{{"spec":{{"target":{target}{more}}}}}"#)
}

fn faults(body: &str, rules: &SubmissionRules) -> Vec<Fault> {
    match Submission::parse(body, rules) {
        Err(SubmissionError::Invalid(faults)) => faults,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn the_specification_is_kept_byte_for_byte() {
    let spec = format!(
        "{{ \"target\" : {{\"inline\":{TRACE} , \"kind\":\"inline\"}},\n \"note\" : \"half \\ud83d é\", \"n\": 1.50 }}"
    );
    let body = format!("{{ \"unknown\": 1, \"spec\" :  {spec}  , \"priority\": -3}}");
    let run = submit(&body).unwrap();
    assert_eq!(run.spec, spec);
    assert_eq!(run.priority, -3);
}

#[test]
fn members_are_read_in_both_spellings_and_have_defaults() {
    for body in [
        with_fields(r#""run_id":"00000000-0000-4234-8000-00006b039992","deadline_s":7,"max_attempts":2"#),
        with_fields(r#""runId":"00000000-0000-4234-8000-00006b039992","deadlineS":7,"maxAttempts":2"#),
    ] {
        let run = submit(&body).unwrap();
        assert_eq!(run.id.to_string(), "00000000-0000-4234-8000-00006b039992");
        assert_eq!((run.deadline, run.max_attempts), (Duration::from_secs(7), 2));
    }
    let run = submit(&with_fields(r#""labels":{"team/a":"x y"},"runId":null"#)).unwrap();
    assert_eq!((run.deadline, run.max_attempts, run.priority), (Duration::from_secs(300), 3, 0));
    assert_eq!(run.labels["team/a"], "x y");
}

#[test]
fn the_same_work_in_another_form_has_the_same_digest() {
    let snake = submit(&inline(
        r#","eval_config":{"evaluators":[{"name":"response_match_score","type":"builtin"}]}"#,
    ));
    let camel = format!(
        r#"{{"spec":{{"evalConfig":{{"evaluators":[{{"type":"builtin", "name":"response_match_score"}}]}},
            "target":{{"traceId":null,"inline":{TRACE},"kind":"inline"}},"sinks":[]}}}}"#
    );
    let other = submit(&inline("")).unwrap().digest;
    let snake = snake.unwrap().digest;
    assert_eq!(snake, submit(&camel).unwrap().digest);
    assert_ne!(snake, other);
}

#[test]
fn what_is_no_json_is_located() {
    for (body, place) in [("", (1, 1)), ("{\"spec\": }", (1, 10)), ("{\n}}", (2, 2))] {
        let Err(SubmissionError::Syntax(error)) = submit(body) else { panic!("{body}") };
        assert_eq!((error.line, error.column), place, "{body}: {error}");
    }
}

#[test]
fn every_fault_is_explained_where_it_is() {
    let target = |target: &str| format!(r#"{{"spec":{{"target":{target}}}}}"#);
    let evaluators = |list: &str| inline(&format!(r#","eval_config":{{"evaluators":{list}}}"#));
    let http = |members: &str| target(&format!(r#"{{"kind":"http",{members}}}"#));
    let trace_id = r#""trace_id":"c9d9481f4d5aa027""#;
    for (body, pointer, message) in [
        ("[]".to_owned(), "", "expected an object, got a list"),
        ("{}".to_owned(), "/spec", "missing"),
        (r#"{"spec":[]}"#.to_owned(), "/spec", "expected an object, got a list"),
        (r#"{"spec":{}}"#.to_owned(), "/spec/target", "missing"),
        (target("{}"), "/spec/target/kind", "missing"),
        (target(r#"{"kind":"ftp"}"#), "/spec/target/kind", "unknown value `ftp`; expected inline or http"),
        (
            target(r#"{"kind":"uploaded"}"#),
            "/spec/target/kind",
            "`uploaded` is written by the evaluate endpoints",
        ),
        (target(r#"{"kind":"inline"}"#), "/spec/target/inline", "missing"),
        (target(r#"{"kind":"inline","inline":[]}"#), "/spec/target/inline", "expected an object, got a list"),
        (target(r#"{"kind":"inline","inline":{}}"#), "/spec/target/inline", "expected OTLP JSON"),
        (target(r#"{"kind":"inline","inline":{"foo":1}}"#), "/spec/target/inline", "expected OTLP JSON"),
        (
            target(r#"{"kind":"inline","inline":{"resourceSpans":[]}}"#),
            "/spec/target/inline",
            "no traces were read: there are no spans",
        ),
        (
            target(&format!(r#"{{"kind":"inline","traceFormat":"jaeger-json","inline":{TRACE}}}"#)),
            "/spec/target/inline",
            "is not jaeger-json",
        ),
        (
            target(&format!(r#"{{"kind":"inline","traceFormat":"zipkin","inline":{TRACE}}}"#)),
            "/spec/target/traceFormat",
            "unknown trace format `zipkin`",
        ),
        (
            target(&format!(
                r#"{{"kind":"inline","traceFormat":null,"trace_format":null,"inline":{TRACE}}}"#
            )),
            "/spec/target/trace_format",
            "means the same as `traceFormat`; leave one out",
        ),
        (http(trace_id), "/spec/target/base_url", "missing"),
        (
            http(&format!(r#""baseUrl":"ftp://h",{trace_id}"#)),
            "/spec/target/baseUrl",
            "absolute http or https URL",
        ),
        (
            http(&format!(r#""base_url":"http://h/{}",{trace_id}"#, "x".repeat(5000))),
            "/spec/target/base_url",
            "URL of at most 4096 bytes",
        ),
        (http(r#""base_url":"http://h""#), "/spec/target/trace_id", "missing"),
        (
            http(&format!(r#""base_url":"http://169.254.169.254/latest",{trace_id}"#)),
            "/spec/target/base_url",
            "`169.254.169.254` is not public (link-local); an operator can allow it with",
        ),
        (
            http(&format!(r#""base_url":"http://0x7f.1/{{trace_id}}",{trace_id}"#)),
            "/spec/target/base_url",
            "`127.0.0.1` is not public (loopback)",
        ),
        (fetched(r#","context":[]"#), "/spec/context", "expected an object, got a list"),
        (
            fetched(r#","context":{"headers":{"X":{"from_env":"HOME"}}}"#),
            "/spec/context/headers/X/from_env",
            "variable `HOME` may not be read",
        ),
        (
            fetched(r#","context":{"headers":{"X":{"credentialRef":"k"}}}"#),
            "/spec/context/headers/X/credentialRef",
            "`k` is not among the credential_refs",
        ),
        (
            fetched(r#","credential_refs":{"k":{"kind":"file","path":"../x"}}"#),
            "/spec/credential_refs/k/path",
            "`../x` is no path below",
        ),
        (http(r#""base_url":"http://h","traceId":"xyz""#), "/spec/target/traceId", "`xyz` is no trace id"),
        (inline(r#","approach":"agent_invoke""#), "/spec/approach", "expected trace_replay"),
        (inline(r#","evalSet":[]"#), "/spec/evalSet", "expected an object, got a list"),
        (inline(r#","eval_set":{"eval_set_id":"x"}"#), "/spec/eval_set/eval_cases", "missing"),
        (
            inline(r#","evalSet":{"eval_set_id":"x","eval_cases":[{"eval_id":"a/b"}]}"#),
            "/spec/evalSet/eval_cases/0",
            "exactly one of `conversation`",
        ),
        (inline(r#","evalConfig":[]"#), "/spec/evalConfig", "expected an object"),
        (
            inline(r#","evalConfig":{"maxConcurrentEvals":0}"#),
            "/spec/evalConfig/maxConcurrentEvals",
            "outside 1..=",
        ),
        (evaluators("[]"), "/spec/eval_config/evaluators", "at least one evaluator"),
        (
            evaluators(r#"[{"name":"no_such","type":"builtin"}]"#),
            "/spec/eval_config/evaluators/0",
            "unknown metric `no_such`",
        ),
        (
            evaluators(r#"[{"name":"tool_trajectory_avg_score","type":"builtin","threshold":2}]"#),
            "/spec/eval_config/evaluators/0/threshold",
            "threshold 2 is outside 0..=1",
        ),
        (
            evaluators(r#"[{"name":"x","type":"nosuch"}]"#),
            "/spec/eval_config/evaluators/0",
            "unknown type `nosuch`; expected builtin or code",
        ),
        (
            evaluators(r#"[{"name":"x","type":"code","path":"x.py"}]"#),
            "/spec/eval_config/evaluators/0",
            "code evaluators are refused",
        ),
        (inline(r#","sinks":{}"#), "/spec/sinks", "expected a list, got an object"),
        (inline(r#","sinks":[{"kind":"kafka"}]"#), "/spec/sinks/0/kind", "unknown sink `kafka`"),
        (inline(r#","context":1"#), "/spec/context", "expected an object, got an integer"),
        (inline(r#","credentialRefs":{"k":{"kind":"env"}}"#), "/spec/credentialRefs/k/name", "missing"),
        (with_fields(r#""run_id":"xyz""#), "/run_id", "`xyz` is no UUID; leave the member out"),
        (with_fields(r#""priority":101"#), "/priority", "101 is outside -100..=100"),
        (with_fields(r#""deadlineS":0"#), "/deadlineS", "0 is outside 1..=3600"),
        (with_fields(r#""deadlineS":1.5"#), "/deadlineS", "expected an integer"),
        (with_fields(r#""maxAttempts":11"#), "/maxAttempts", "11 is outside 1..=10"),
        (with_fields(r#""labels":{"a b":"x"}"#), "/labels/a b", "`a b` is no name of a label"),
        (with_fields(r#""labels":{"a/b":1}"#), "/labels/a~1b", "expected a string"),
        (with_fields(r#""labels":{"a":"\u0000"}"#), "/labels/a", "control character"),
    ] {
        let found = faults(&body, &SubmissionRules::default());
        let is_there = found.iter().any(|p| p.pointer == pointer && p.message.contains(message));
        assert!(is_there, "{body}\nwanted {pointer}: {message}\nfound {found:#?}");
    }
}

#[test]
fn a_trace_that_is_elsewhere_is_taken_as_it_is_written() {
    let body = fetched(r#","context":{"headers":{"X-Org":"7"},"note":1},"credentialRefs":{}"#);
    assert!(body.contains(&submit(&body).unwrap().spec));
    // Nothing is sent for a trace that is there, so that what stands here is only kept.
    assert!(submit(&inline(r#","context":{"headers":7}"#)).is_ok());
}

#[test]
fn faults_do_not_repeat_what_may_be_secret() {
    for body in [
        fetched(r#","context":{"headers":{"X":"s3cret\u0000"}}"#),
        fetched(r#","context":{"headers":{"X":["s3cret"]}}"#),
        fetched(r#","credentialRefs":{"k":{"kind":"env","name":"A","value":"s3cret"}}"#),
        fetched(r#","credentialRefs":{"k":"s3cret"}"#),
        fetched("").replace("https://h/", "https://me:s3cret@127.0.0.1/"),
        fetched("").replace("https://h/", "ftp://me:s3cret@h/?s3cret"),
        fetched("").replace("https://h/", "https://me:s3cret@h:port/"),
    ] {
        let found = faults(&body, &SubmissionRules::default());
        assert!(!format!("{found:?}").contains("s3cret"), "{found:?}");
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let body = r#"{"runId":1,"priority":"high","spec":{"target":{"kind":"inline","inline":{}},"evalSet":{},"sinks":1}}"#;
    let found = faults(body, &SubmissionRules::default());
    let pointers: Vec<_> = found.iter().map(|fault| &*fault.pointer).collect();
    for pointer in ["/runId", "/priority", "/spec/target/inline", "/spec/evalSet/eval_set_id", "/spec/sinks"]
    {
        assert!(pointers.contains(&pointer), "{pointer}: {pointers:?}");
    }
}

#[test]
fn what_goes_along_is_checked_whatever_is_wrong_with_the_target() {
    let body = r#"{"spec":{"target":{"kind":"http"},"context":{"headers":{"Host":"h"}}}}"#;
    let found = faults(body, &SubmissionRules::default());
    let pointers: Vec<_> = found.iter().map(|fault| &*fault.pointer).collect();
    assert_eq!(pointers, ["/spec/target/trace_id", "/spec/target/base_url", "/spec/context/headers/Host"]);
}

#[test]
fn too_many_labels_are_refused() {
    let labels: Vec<_> = (0..33).map(|n| format!(r#""l{n}":"v""#)).collect();
    let found =
        faults(&with_fields(&format!(r#""labels":{{{}}}"#, labels.join(","))), &SubmissionRules::default());
    assert_eq!(found[0].message, "33 labels are more than 32");
}

#[test]
fn code_evaluators_are_taken_below_the_directory_and_without_the_environment() {
    let rules = SubmissionRules { code: CodeRule::BelowDirectory, ..SubmissionRules::default() };
    let code = |members: &str| {
        inline(&format!(r#","evalConfig":{{"evaluators":[{{"name":"x","type":"code",{members}}}]}}"#))
    };
    assert!(Submission::parse(&code(r#""path":"a/x.py""#), &rules).is_ok());
    for (members, pointer) in [
        (r#""path":"../x.py""#, "/spec/evalConfig/evaluators/0/path"),
        (r#""path":"/x.py""#, "/spec/evalConfig/evaluators/0/path"),
        (r#""path":"x.py","env":["HOME"]"#, "/spec/evalConfig/evaluators/0/env"),
    ] {
        assert_eq!(faults(&code(members), &rules)[0].pointer, pointer);
    }
}
