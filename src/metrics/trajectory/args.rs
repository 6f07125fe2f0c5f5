//! Compares the arguments of two calls.

use regex::Regex;

use crate::json::{Map, Value};

/// The arguments that must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArgsMode {
    /// All arguments.
    #[default]
    Exact,
    /// No argument.
    Ignore,
    /// The arguments of the golden; the call may have more.
    Subset,
    /// The arguments of the call; the golden may have more.
    Superset,
}

impl ArgsMode {
    /// The names used in configurations.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("exact", Self::Exact),
        ("ignore", Self::Ignore),
        ("subset", Self::Subset),
        ("superset", Self::Superset),
    ];
}

/// How the arguments of a call are compared.
#[derive(Debug, Clone, Default)]
pub struct ArgsRule {
    /// The arguments that must agree.
    pub mode: ArgsMode,
    /// Matchers for single values; the first pattern that fits a path decides.
    pub paths: Vec<(PathPattern, Matcher)>,
}

impl ArgsRule {
    /// Whether any arguments would do where these are expected.
    pub(super) fn accepts_all(&self, expected: &Value<'_>) -> bool {
        match self.mode {
            ArgsMode::Ignore => true,
            ArgsMode::Subset => expected.is_empty(),
            ArgsMode::Exact | ArgsMode::Superset => false,
        }
    }

    pub(super) fn is_exact(&self) -> bool {
        self.mode == ArgsMode::Exact && self.paths.is_empty()
    }
}

/// A way to compare one value other than by equality.
#[derive(Debug, Clone)]
pub enum Matcher {
    /// Any value, or none.
    Any,
    /// The actual value, as text, contains a match of the expression.
    Regex(Regex),
    /// Numbers at most this far apart.
    Tolerance(f64),
    /// Texts are equal after case folding.
    CaseInsensitive,
}

/// A path into arguments: `$.user.tags[0]`, with `*` for any member and `[*]` for any element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
    AnyKey,
    AnyIndex,
}

impl std::str::FromStr for PathPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || format!("`{text}` is no path; write `$.city`, `$.items[0].id` or `$.items[*].*`");
        let mut rest = text.strip_prefix('$').ok_or_else(malformed)?;
        let mut segments = Vec::new();
        while !rest.is_empty() {
            if let Some(index) = rest.strip_prefix('[') {
                let (index, after) = index.split_once(']').ok_or_else(malformed)?;
                segments.push(match index {
                    "*" => Segment::AnyIndex,
                    index => Segment::Index(index.parse().map_err(|_| malformed())?),
                });
                rest = after;
            } else {
                let key = rest.strip_prefix('.').ok_or_else(malformed)?;
                let end = key.find(['.', '[']).unwrap_or(key.len());
                segments.push(match &key[..end] {
                    "" => return Err(malformed()),
                    "*" => Segment::AnyKey,
                    key => Segment::Key(key.to_owned()),
                });
                rest = &key[end..];
            }
        }
        Ok(Self(segments))
    }
}

impl PathPattern {
    fn fits(&self, path: &[Step<'_>]) -> bool {
        self.0.len() == path.len()
            && self.0.iter().zip(path).all(|pair| match pair {
                (Segment::Key(wanted), Step::Key(key)) => wanted == key,
                (Segment::Index(wanted), Step::Index(index)) => wanted == index,
                (Segment::AnyKey, Step::Key(_)) | (Segment::AnyIndex, Step::Index(_)) => true,
                _ => false,
            })
    }
}

#[derive(Debug, Clone, Copy)]
enum Step<'v> {
    Key(&'v str),
    Index(usize),
}

/// The first difference between expected and actual arguments, in words.
pub(super) fn difference(
    expected: &Value<'_>,
    actual: &Value<'_>,
    rule: &ArgsRule,
    lenient: bool,
) -> Option<String> {
    if rule.mode == ArgsMode::Ignore {
        return None;
    }
    let mut walk = Walk { rule, lenient, path: Vec::new() };
    walk.compare(Some(expected), Some(actual))
}

struct Walk<'r, 'v> {
    rule: &'r ArgsRule,
    lenient: bool,
    path: Vec<Step<'v>>,
}

impl<'v> Walk<'_, 'v> {
    fn compare(&mut self, expected: Option<&'v Value<'v>>, actual: Option<&'v Value<'v>>) -> Option<String> {
        if let Some((_, matcher)) = self.rule.paths.iter().find(|(pattern, _)| pattern.fits(&self.path)) {
            return self.apply(matcher, expected, actual);
        }
        match (expected, actual) {
            (Some(_), None) if self.rule.mode != ArgsMode::Superset => self.report(expected, actual),
            (None, Some(_)) if self.rule.mode != ArgsMode::Subset => self.report(expected, actual),
            (Some(Value::Map(expected)), Some(Value::Map(actual))) => self.compare_maps(expected, actual),
            (Some(Value::List(wanted)), Some(Value::List(got))) if wanted.len() == got.len() => {
                wanted.iter().zip(got).enumerate().find_map(|(index, (wanted, got))| {
                    self.at(Step::Index(index), |walk| walk.compare(Some(wanted), Some(got)))
                })
            }
            (Some(wanted), Some(got)) if !wanted.equals(got, self.lenient) => self.report(expected, actual),
            _ => None,
        }
    }

    fn compare_maps(&mut self, expected: &'v Map<'v>, actual: &'v Map<'v>) -> Option<String> {
        let (wanted, got) = (expected.lookup(), actual.lookup());
        let difference = expected
            .iter()
            .find_map(|(key, value)| self.at(Step::Key(key), |walk| walk.compare(Some(value), got.get(key))));
        difference.or_else(|| {
            let mut extra = actual.iter().filter(|(key, _)| wanted.get(key).is_none());
            extra.find_map(|(key, value)| self.at(Step::Key(key), |walk| walk.compare(None, Some(value))))
        })
    }

    fn apply(
        &self,
        matcher: &Matcher,
        expected: Option<&Value<'_>>,
        actual: Option<&Value<'_>>,
    ) -> Option<String> {
        let fits = match (matcher, expected, actual) {
            (Matcher::Any, ..) => true,
            (Matcher::Regex(regex), _, Some(actual)) => {
                regex.is_match(&actual.scalar_text().unwrap_or_else(|| actual.to_json_text().into()))
            }
            (Matcher::Tolerance(tolerance), Some(expected), Some(actual)) => {
                match (as_number(expected), as_number(actual)) {
                    (Some(expected), Some(actual)) => (expected - actual).abs() <= *tolerance,
                    _ => false,
                }
            }
            (Matcher::CaseInsensitive, Some(Value::Str(expected)), Some(Value::Str(actual))) => {
                caseless::default_caseless_match_str(expected, actual)
            }
            (Matcher::CaseInsensitive, Some(expected), Some(actual)) => expected.equals(actual, self.lenient),
            _ => expected.is_none() && actual.is_none(),
        };
        if fits {
            return None;
        }
        match matcher {
            Matcher::Regex(regex) => Some(format!(
                "argument `{}`: expected a match of /{regex}/, got {}",
                self.place(),
                shown(actual)
            )),
            Matcher::Tolerance(tolerance) => Some(format!(
                "argument `{}`: expected {} ± {tolerance}, got {}",
                self.place(),
                shown(expected),
                shown(actual)
            )),
            _ => self.report(expected, actual),
        }
    }

    fn at<T>(&mut self, step: Step<'v>, compare: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let outcome = compare(self);
        self.path.pop();
        outcome
    }

    fn report(&self, expected: Option<&Value<'_>>, actual: Option<&Value<'_>>) -> Option<String> {
        Some(format!("argument `{}`: expected {}, got {}", self.place(), shown(expected), shown(actual)))
    }

    fn place(&self) -> String {
        let mut place = String::from("$");
        for step in &self.path {
            match step {
                Step::Key(key) => {
                    place.push('.');
                    place.push_str(key);
                }
                Step::Index(index) => place.push_str(&format!("[{index}]")),
            }
        }
        place
    }
}

fn as_number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// Longest value shown in a reason, in characters.
const SHOWN_CHARS: usize = 200;

fn shown(value: Option<&Value<'_>>) -> String {
    let Some(value) = value else {
        return "nothing".into();
    };
    let text = value.to_json_text();
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
