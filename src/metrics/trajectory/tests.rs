use std::collections::BTreeMap;

use super::*;
use crate::invocation::TurnUsage;
use crate::json::parse;

fn call(name: &str, args: &str) -> ToolCall {
    let args = Args::Given(parse(args).unwrap().into_owned());
    ToolCall { id: None, name: name.into(), args, result: None, failed: false }
}

fn calls(text: &[(&str, &str)]) -> Vec<ToolCall> {
    text.iter().map(|(name, args)| call(name, args)).collect()
}

fn options(match_type: MatchType, mode: ArgsMode) -> TrajectoryOptions {
    let args = ArgsRule { mode, paths: Vec::new() };
    TrajectoryOptions { match_type, args, tools: BTreeMap::new() }
}

fn matches(expected: &[(&str, &str)], actual: &[(&str, &str)], options: &TrajectoryOptions) -> bool {
    Alignment::of(&calls(expected), &calls(actual), options, false).matches()
}

fn reasons(expected: &[(&str, &str)], actual: &[(&str, &str)], options: &TrajectoryOptions) -> Vec<String> {
    let details = Alignment::of(&calls(expected), &calls(actual), options, false).into_details();
    let entries = details.as_list().unwrap().iter();
    entries.filter_map(|entry| entry.get_str("reason").map(str::to_owned)).collect()
}

#[test]
fn match_types_say_what_may_be_missing_and_what_may_come_too() {
    let (a, b, c) = (("a", "{}"), ("b", "{}"), ("c", "{}"));
    // expected, actual, then EXACT, IN_ORDER, ANY_ORDER, SUBSET, SUPERSET
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], [bool; 5]);
    let table: [Row<'_>; 9] = [
        (&[a, b], &[a, b], [true, true, true, true, true]),
        (&[a, b], &[b, a], [false, false, true, true, true]),
        (&[a, b], &[a, c, b], [false, true, true, false, true]),
        (&[a, b], &[a], [false, false, false, true, false]),
        (&[a, a], &[a], [false, false, false, true, false]),
        (&[a], &[a, a], [false, true, true, false, true]),
        (&[], &[a], [false, true, true, false, true]),
        (&[a], &[], [false, false, false, true, false]),
        (&[], &[], [true, true, true, true, true]),
    ];
    for (expected, actual, want) in table {
        let types = MatchType::NAMES.map(|(_, match_type)| match_type);
        let got = types.map(|match_type| matches(expected, actual, &options(match_type, ArgsMode::Exact)));
        assert_eq!(got, want, "{expected:?} {actual:?}");
    }
}

#[test]
fn argument_modes_say_which_arguments_count() {
    // expected, actual, then exact, ignore, subset, superset
    let table = [
        (r#"{"x":1}"#, r#"{"x":1.0}"#, [true, true, true, true]),
        (r#"{"x":1}"#, r#"{"x":1,"y":2}"#, [false, true, true, false]),
        (r#"{"x":1,"y":2}"#, r#"{"x":1}"#, [false, true, false, true]),
        (r#"{"x":1}"#, r#"{"x":2}"#, [false, true, false, false]),
        (r#"{"x":{"y":[{"z":1}]}}"#, r#"{"x":{"y":[{"z":1,"w":0}]}}"#, [false, true, true, false]),
        (r#"{"x":[1,2]}"#, r#"{"x":[1]}"#, [false, true, false, false]),
        (r#"{"x":null}"#, "{}", [false, true, false, true]),
        (r#"{"x":true}"#, r#"{"x":1}"#, [false, true, false, false]),
    ];
    for (expected, actual, want) in table {
        let got = ArgsMode::NAMES
            .map(|(_, mode)| matches(&[("f", expected)], &[("f", actual)], &options(MatchType::Exact, mode)));
        assert_eq!(got, want, "{expected} {actual}");
    }
}

#[test]
fn paths_can_be_compared_in_other_ways() {
    let rule = |path: &str, matcher| ArgsRule {
        mode: ArgsMode::Exact,
        paths: vec![(path.parse().unwrap(), matcher)],
    };
    let with = |args| TrajectoryOptions { args, ..TrajectoryOptions::default() };
    let fits = |rule: ArgsRule, expected: &str, actual: &str| {
        matches(&[("f", expected)], &[("f", actual)], &with(rule))
    };
    assert!(fits(rule("$.t", Matcher::Any), r#"{"t":1}"#, "{}"));
    assert!(fits(rule("$.t", Matcher::Any), "{}", r#"{"t":1}"#));
    assert!(!fits(rule("$.t", Matcher::Any), "{}", r#"{"u":1}"#));
    let order = || Matcher::Regex(regex::Regex::new("^ord-[0-9]+$").unwrap());
    assert!(fits(rule("$.id", order()), r#"{"id":"x"}"#, r#"{"id":"ord-7"}"#));
    assert!(!fits(rule("$.id", order()), r#"{"id":"ord-7"}"#, r#"{"id":"7"}"#));
    assert!(!fits(rule("$.id", order()), r#"{"id":"ord-7"}"#, "{}"));
    assert!(fits(rule("$.n[*].v", Matcher::Tolerance(0.5)), r#"{"n":[{"v":1}]}"#, r#"{"n":[{"v":1.4}]}"#));
    assert!(!fits(rule("$.n[*].v", Matcher::Tolerance(0.5)), r#"{"n":[{"v":1}]}"#, r#"{"n":[{"v":2}]}"#));
    assert!(fits(rule("$.*", Matcher::CaseInsensitive), r#"{"city":"Straße"}"#, r#"{"city":"STRASSE"}"#));
    for malformed in ["city", "$city", "$.", "$.a[", "$.a[x]", "$..a"] {
        assert!(malformed.parse::<PathPattern>().is_err(), "{malformed}");
    }
}

#[test]
fn every_mismatch_has_a_reason() {
    let exact = options(MatchType::Exact, ArgsMode::Exact);
    assert_eq!(
        reasons(&[("f", r#"{"city":"Oslo"}"#)], &[("f", r#"{"city":"Bergen"}"#)], &exact),
        [r#"argument `$.city`: expected "Oslo", got "Bergen""#]
    );
    assert_eq!(
        reasons(&[("a", "{}"), ("b", "{}")], &[("b", "{}"), ("c", "{}"), ("a", "{}")], &exact),
        ["`a` was called at another place", "`c` was not expected"]
    );
    assert_eq!(reasons(&[("a", "{}")], &[], &exact), ["`a` was not called"]);
    assert_eq!(
        reasons(&[("a", r#"{"x":1}"#)], &[("a", "{}")], &exact),
        ["argument `$.x`: expected 1, got nothing"]
    );
}

#[test]
fn loose_rules_still_find_a_pairing_when_there_is_one() {
    let loose = options(MatchType::AnyOrder, ArgsMode::Subset);
    assert!(matches(
        &[("f", "{}"), ("f", r#"{"x":1}"#)],
        &[("f", r#"{"x":1}"#), ("f", r#"{"x":2}"#)],
        &loose
    ));
    let chain = [("f", "{}"), ("f", "{}"), ("f", r#"{"a":1}"#), ("f", r#"{"b":1}"#)];
    let actual = [("f", r#"{"a":1}"#), ("f", r#"{"b":1}"#), ("f", r#"{"c":1}"#), ("f", "{}")];
    assert!(matches(&chain, &actual, &loose));
}

fn turn(calls: Vec<ToolCall>) -> Invocation {
    Invocation {
        trace_id: "t".into(),
        span_id: "s".into(),
        evaluated_span_id: "s".into(),
        response_id: None,
        start_unix_nanos: 0,
        agent_name: None,
        interim_texts: Vec::new(),
        user_text: None,
        response_text: None,
        unseen_calls: None,
        has_output: true,
        tool_calls: calls,
        usage: TurnUsage::default(),
    }
}

fn golden(args: Args) -> ExpectedInvocation {
    let call = ToolCall { id: None, name: "f".into(), args, result: None, failed: false };
    ExpectedInvocation { tool_calls: vec![call], ..ExpectedInvocation::default() }
}

#[test]
fn omitted_arguments_mean_none_and_null_means_any() {
    let score = |golden_args: Args, actual: &str, lenient| {
        let (actual, expected) = ([turn(vec![call("f", actual)])], [golden(golden_args)]);
        let turns = Turns { actual: &actual, expected: &expected, lenient };
        evaluate("t", turns, &TrajectoryOptions::default(), 0.5).score
    };
    assert_eq!(score(Args::Omitted, "{}", false), Some(1.0));
    assert_eq!(score(Args::Omitted, r#"{"x":1}"#, false), Some(0.0));
    assert_eq!(score(Args::Any, r#"{"x":1}"#, false), Some(1.0));
    assert_eq!(score(Args::Omitted, "{}", true), Some(0.0));
    assert_eq!(score(Args::Any, "{}", true), Some(0.0));
}

#[test]
fn missing_and_unexpected_turns_score_zero_unless_lenient() {
    let score = |actual: usize, expected: usize, lenient| {
        let actual: Vec<_> = (0..actual).map(|_| turn(Vec::new())).collect();
        let expected = vec![ExpectedInvocation::default(); expected];
        let turns = Turns { actual: &actual, expected: &expected, lenient };
        evaluate("t", turns, &TrajectoryOptions::default(), 0.5).score
    };
    assert_eq!(score(1, 3, false), Some(1.0 / 3.0));
    assert_eq!(score(3, 1, false), Some(1.0 / 3.0));
    assert_eq!(score(1, 3, true), Some(1.0));
    assert_eq!(score(0, 0, false), None);
}

#[test]
fn the_search_for_a_pairing_is_bounded() {
    // Every expected call fits half of the actual ones and there are too few of those: no pairing is complete.
    let expected: Vec<_> = (0..900).map(|_| ("f", r#"{"x":1}"#)).collect();
    let actual: Vec<_> =
        (0..1_000).map(|n| ("f", if n % 2 == 0 { r#"{"x":1,"y":2}"# } else { "{}" })).collect();
    assert!(!matches(&expected, &actual, &options(MatchType::AnyOrder, ArgsMode::Subset)));
}
