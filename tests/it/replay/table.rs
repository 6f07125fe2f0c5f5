//! The differences from the reference that are meant, each with its reason.

/// Answers that may differ.
pub(super) struct Allowed {
    /// Which recordings, by name; `*` stands for anything.
    pub(super) recordings: &'static str,
    /// Where in the answer; `*` stands for anything.
    pub(super) place: &'static str,
    /// Why.
    #[expect(dead_code, reason = "for those who read the table")]
    why: &'static str,
    /// Whether it depends on how fast things happen.
    pub(super) by_chance: bool,
}

const fn meant(recordings: &'static str, place: &'static str, why: &'static str) -> Allowed {
    Allowed { recordings, place, why, by_chance: false }
}

const fn may(recordings: &'static str, place: &'static str, why: &'static str) -> Allowed {
    Allowed { recordings, place, why, by_chance: true }
}

const REFUSED_EARLY: &str = "what can be known at submission is said then, not by a run that fails later";
const NO_TRACES: &str = "a run without traces has not succeeded (run-pipeline.md, fault 6)";
const TRIED_AGAIN: &str = "failures that may pass are tried again (run-pipeline.md, fault 7)";
const OTHER_RUNS: &str = "what is listed depends on all runs before; that there are as many is compared";
const NO_PAGES: &str =
    "there is no user interface, and nothing else answers in its place (http-api.md, fault 4)";
const UNCANCELLED: &str = "cancelling stops a run (run-pipeline.md, fault 1); its request was not recorded";

const EVERY_TURN: &str = "unless a threshold is given, every turn of a trajectory has to match";

/// Every difference; each has to be seen, but those that depend on chance.
pub(super) const ALLOWED: [Allowed; 61] = [
    meant("003-root", "status", NO_PAGES),
    meant("005-api-404", "status", NO_PAGES),
    meant("007-old-evaluators", "status", NO_PAGES),
    meant("055-sessions-empty", "status", "there are no live sessions"),
    meant(
        "*",
        "data.spec",
        "specifications are answered on request (`include=spec`), not with every look at a run",
    ),
    meant("001-config", "data.otlp", "there are no receivers of traces"),
    meant(
        "002-metrics",
        "data.*.working",
        "whether a metric runs here, not whether it would with Google's services",
    ),
    meant("002-metrics", "data.*.requiresLLM", "it does: rubrics are judged by a model"),
    meant("013-convert-ok", "*.metadata.provider", "the reference never fills it in here"),
    meant("*-evaluate-*", "*runId", "a new id each time"),
    meant("*-evaluate-*", "*.details.comparisons.*", "details are never rewritten (http-api.md, fault 3)"),
    meant("031-evaluate-bad-trace", "data.errors", "said once"),
    meant("051-evaluate-stream-bad-trace", "last.result.errors", "said once"),
    meant("034-evaluate-unknown-metric", "status", REFUSED_EARLY),
    meant("041-evaluate-json-jaeger", "status", "Jaeger JSON is taken everywhere"),
    may("059-*", "data.*", "a worker may have taken the run up already"),
    meant("074-unknown-metric-submit", "status", REFUSED_EARLY),
    meant("110-inline-missing-submit", "status", REFUSED_EARLY),
    meant("113-inline-empty-submit", "status", REFUSED_EARLY),
    meant("119-inline-no-spans-submit", "status", REFUSED_EARLY),
    meant("125-uploaded-kind-submit", "status", REFUSED_EARLY),
    meant("128-bad-eval-set-submit", "status", REFUSED_EARLY),
    meant("134-http-no-base-url-submit", "status", REFUSED_EARLY),
    meant("171-credref-unknown-kind-submit", "status", REFUSED_EARLY),
    meant("180-sink-file-fail-run-submit", "status", REFUSED_EARLY),
    meant("201-webhook-fail-run-submit", "status", REFUSED_EARLY),
    meant(
        "140-http-ok-upstream-request",
        "headers.accept",
        "JSON is asked for: Tempo answers with protobuf otherwise",
    ),
    meant("148-http-e500-get", "data.attempt", TRIED_AGAIN),
    meant("166-http-slow-timeout-get", "data.attempt", TRIED_AGAIN),
    meant("157-http-list-get", "data.status", NO_TRACES),
    meant("157-http-list-get", "data.error", NO_TRACES),
    meant("157-http-list-get", "data.summary", NO_TRACES),
    meant("160-http-empty-get", "data.status", NO_TRACES),
    meant("160-http-empty-get", "data.error", NO_TRACES),
    meant("160-http-empty-get", "data.summary", NO_TRACES),
    meant("169-credref-env-missing-get", "data.*", "a credential that nothing uses is not looked up"),
    meant("170-credref-env-missing-results", "data", "a credential that nothing uses is not looked up"),
    meant("243-*", "data.*", OTHER_RUNS),
    meant("248-*", "data.*", OTHER_RUNS),
    meant("252-*", "data", OTHER_RUNS),
    meant("253-*", "data.*", OTHER_RUNS),
    meant("254-*", "data.*", OTHER_RUNS),
    meant("257-*", "data", OTHER_RUNS),
    may("270-*", "data", UNCANCELLED),
    may("272-*", "data.*", UNCANCELLED),
    may("273-*", "data.*", UNCANCELLED),
    may("274-*", "data", UNCANCELLED),
    may("276-*", "data.*", "the run may not have been taken up yet"),
    meant("277-*", "data.status", "cancelling stops a run (run-pipeline.md, fault 1)"),
    meant("277-*", "data.summary", "cancelling stops a run (run-pipeline.md, fault 1)"),
    meant("278-*", "data", "cancelling stops a run (run-pipeline.md, fault 1)"),
    meant("048-*", "data.traceResults.0.metricResults.0.evalStatus", EVERY_TURN),
    meant("048-*", "data.traceResults.0.metricResults.1.details", "the texts that differ are shown"),
    meant("053-*", "*.metricResults.1.details", "the texts that differ are shown"),
    meant("053-*", "*.metricResults.0.evalStatus", EVERY_TURN),
    meant("*-multi-turn-get", "data.summary.*", EVERY_TURN),
    meant("*-multi-turn-results", "data.0.status", EVERY_TURN),
    meant("200-*", "body.results.0.status", EVERY_TURN),
    meant("200-*", "body.summary.*", EVERY_TURN),
    may("265-*", "data.*", "a worker may have taken the run up already"),
    may("266-*", "data.*", "a worker may have taken the run up already"),
];

/// Whether a difference is meant.
pub(super) fn matches(allowed: &Allowed, recording: &str, place: &str) -> bool {
    fits(allowed.recordings, recording) && fits(allowed.place, place)
}

fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, "")) => text.starts_with(start),
        Some((start, rest)) => {
            let Some(after) = text.strip_prefix(start) else { return false };
            (0..=after.len()).filter(|at| after.is_char_boundary(*at)).any(|at| fits(rest, &after[at..]))
        }
    }
}
