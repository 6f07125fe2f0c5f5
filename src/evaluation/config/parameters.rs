//! Reads the parameters that a request may give for an evaluation.

use super::evaluators::read_evaluators;
use super::members::{DEFAULT_CONCURRENT_EVALS, OLD_MEMBERS, read_concurrency, read_format, refuse};
use super::spec::{CodeRule, EvaluatorSpec};
use crate::evaluation::units::GroupBy;
use crate::json::checked::{Cursor, Object, Spelling};
use crate::metrics::catalog::{Builtin, DEFAULT_METRIC};
use crate::trace::Format;

/// Run parameters, with defaults filled in.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// The evaluators, at least one.
    pub evaluators: Vec<EvaluatorSpec>,
    /// How traces are grouped into evaluation units.
    pub group_by: GroupBy,
    /// How many custom evaluators run at the same time.
    pub max_concurrent_evals: usize,
    /// Score like the reference, where the default is stricter.
    pub lenient: bool,
}

/// Members of configuration files that have no meaning in a request, and the remedies.
const FILE_MEMBERS: [(&str, &str); 3] = [
    ("eval_set", "send the eval set itself, beside this configuration"),
    ("output_format", "results are JSON; leave it out"),
    ("output", "results are JSON; leave it out"),
];

/// The member for the format of traces, and the remedy where it is refused.
const TRACE_FORMAT: (&str, &str) = ("trace_format", "give it with the traces");

impl Default for Parameters {
    fn default() -> Self {
        Self {
            evaluators: vec![EvaluatorSpec::builtin(DEFAULT_METRIC, Builtin::Trajectory)],
            group_by: GroupBy::default(),
            max_concurrent_evals: DEFAULT_CONCURRENT_EVALS,
            lenient: false,
        }
    }
}

impl Parameters {
    /// Reads parameters that are part of a document; faults are located in that document.
    pub fn read(cursor: &Cursor<'_, '_>, rule: CodeRule) -> Option<Self> {
        let object = cursor.object(Spelling::SnakeOrCamel)?;
        refuse(&object, "not read here", &[TRACE_FORMAT]);
        Self::read_members(&object, rule)
    }

    /// Like [`Self::read`], but accepts the format of the traces too.
    pub fn read_with_format(cursor: &Cursor<'_, '_>, rule: CodeRule) -> Option<(Self, Option<Format>)> {
        let object = cursor.object(Spelling::SnakeOrCamel)?;
        let format = object.optional(TRACE_FORMAT.0, read_format);
        Some((Self::read_members(&object, rule)?, format))
    }

    fn read_members(object: &Object<'_, '_>, rule: CodeRule) -> Option<Self> {
        refuse(object, "no longer read", &OLD_MEMBERS);
        refuse(object, "not read here", &FILE_MEMBERS);
        let default = Self::default();
        let evaluators = object.optional("evaluators", |list| read_evaluators(list, rule));
        // Has no effect, since traces are evaluated on all cores; checked because the reference checks it.
        object.optional("max_concurrent_traces", read_concurrency);
        let concurrency = object.optional("max_concurrent_evals", read_concurrency);
        let group_by = object.optional("group_by", |group_by| group_by.choice(&GroupBy::NAMES));
        let lenient = object.optional("lenient", |lenient| lenient.boolean());
        object.refuse_unknown();
        Some(Self {
            evaluators: evaluators.unwrap_or(default.evaluators),
            group_by: group_by.unwrap_or(default.group_by),
            max_concurrent_evals: concurrency.unwrap_or(default.max_concurrent_evals),
            lenient: lenient.unwrap_or(default.lenient),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::json::checked::Faults;

    fn read(text: &str, rule: CodeRule) -> (Option<Parameters>, Vec<String>) {
        let value = json::parse(text).unwrap();
        let faults = Faults::default();
        let parameters = Parameters::read(&Cursor::root(&value, &faults), rule);
        (parameters, faults.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn both_spellings_are_read_and_defaults_filled_in() {
        for text in [
            r#"{"group_by":"trace","max_concurrent_evals":2,"max_concurrent_traces":3,"lenient":true}"#,
            r#"{"groupBy":"trace","maxConcurrentEvals":2,"maxConcurrentTraces":3,"lenient":true}"#,
        ] {
            let (parameters, faults) = read(text, CodeRule::Refused);
            let parameters = parameters.unwrap();
            assert_eq!(faults, [""; 0]);
            assert_eq!((parameters.group_by, parameters.max_concurrent_evals), (GroupBy::Trace, 2));
            assert!(parameters.lenient);
            assert_eq!(parameters.evaluators[0].name, DEFAULT_METRIC);
        }
    }

    #[test]
    fn what_a_request_may_not_say_is_explained() {
        let code = |members: &str| format!(r#"{{"evaluators":[{{"name":"a","type":"code",{members}}}]}}"#);
        for (text, fault) in [
            (r#"{"evalSet":"x.json"}"#.to_owned(), "$.evalSet: not read here; send the eval set itself"),
            (r#"{"output":"json"}"#.to_owned(), "$.output: not read here; results are JSON"),
            (r#"{"threshold":1}"#.to_owned(), "$.threshold: no longer read; give it to each evaluator"),
            (r#"{"max_concurrent_traces":0}"#.to_owned(), "$.max_concurrent_traces: 0 is outside 1..=256"),
            (r#"{"grouping":1}"#.to_owned(), "$.grouping: unknown member"),
            (code(r#""path":"/etc/a.py""#), "$.evaluators[0].path: `/etc/a.py` leads out"),
            (code(r#""path":"b/../../a.py""#), "$.evaluators[0].path: `b/../../a.py` leads out"),
            (code(r#""path":"a.py","env":["KEY"]"#), "$.evaluators[0].env: evaluators see nothing"),
        ] {
            let found = read(&text, CodeRule::BelowDirectory).1.join("\n");
            assert!(found.contains(fault), "{text}\n{found}");
        }
        assert_eq!(read(&code(r#""path":"./b/a.py""#), CodeRule::BelowDirectory).1, [""; 0]);
        let refused = read(&code(r#""path":"a.py""#), CodeRule::Refused).1;
        assert!(refused[0].contains("$.evaluators[0]: code evaluators are refused"), "{refused:?}");
    }
}
