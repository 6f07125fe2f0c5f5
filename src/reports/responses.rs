//! The final responses that a text metric compared, with the words marked that only one side has.

use std::collections::HashMap;

use super::text::printable;
use crate::json::Value;
use crate::metrics::MetricResult;

/// Longest text that is shown, in characters: enough to see what it is about.
const SHOWN_CHARS: usize = 400;

/// For each turn that scores less than 1, its texts or the reason.
pub(super) fn response_lines(metric: &MetricResult) -> Vec<String> {
    let responses = metric.details.as_ref().and_then(|details| details.get("responses"));
    let mut lines = Vec::new();
    for turn in responses.and_then(Value::as_list).unwrap_or_default() {
        let id = turn.get_str("invocation_id").filter(|id| !id.is_empty()).unwrap_or("(no id)");
        if let Some(reason) = turn.get_str("reason") {
            lines.push(format!("Response of invocation {}: {reason}", printable(id)));
            continue;
        }
        let (expected, actual) = (turn.get_str("expected"), turn.get_str("actual"));
        lines.push(format!("Response of invocation {}, [words] on one side only:", printable(id)));
        lines.push(format!("  expected  {}", marked(expected, actual)));
        lines.push(format!("  actual    {}", marked(actual, expected)));
    }
    lines
}

/// A text with brackets around the words that the other one does not have, or not as often.
fn marked(text: Option<&str>, other: Option<&str>) -> String {
    let Some(text) = text else { return "(none)".to_owned() };
    let mut left: HashMap<String, usize> = HashMap::new();
    for word in other.unwrap_or_default().split_whitespace() {
        *left.entry(key(word)).or_default() += 1;
    }
    let (mut words, mut length) = (Vec::new(), 0);
    for word in text.split_whitespace() {
        length += word.chars().count() + 1;
        if length > SHOWN_CHARS {
            words.push("…".to_owned());
            break;
        }
        match left.get_mut(&key(word)).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                words.push(word.to_owned());
            }
            None => words.push(format!("[{word}]")),
        }
    }
    if words.is_empty() { "(empty)".to_owned() } else { printable(&words.join(" ")).into_owned() }
}

/// A word as it is compared: without case and punctuation, unless it consists of nothing else.
fn key(word: &str) -> String {
    let plain: String = word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    if plain.is_empty() { word.to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_one_side_only_are_marked() {
        let (expected, actual) = (Some("Yes, rain from noon."), Some("yes rain, from one from"));
        assert_eq!(marked(expected, actual), "Yes, rain from [noon.]");
        assert_eq!(marked(actual, expected), "yes rain, from [one] [from]");
        assert_eq!(marked(None, expected), "(none)");
        assert_eq!(marked(Some(""), expected), "(empty)");
        assert_eq!(marked(Some("✅"), Some("")), "[✅]");
        assert!(marked(Some(&"word ".repeat(1000)), None).ends_with(" …"));
        assert_eq!(marked(Some("a\u{1b}[31m"), None), printable("[a\u{1b}[31m]"));
    }
}
