//! Escaping, and the spelling of durations and counts.

use std::borrow::Cow;

/// Escapes control characters, so that text from a recording cannot move the cursor or change colours.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// A count with its noun: `1 case`, `2 cases`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A duration in milliseconds as people read it: `12ms`, `3.4s`, `2m 5s`.
pub(super) fn duration(milliseconds: f64) -> String {
    // Rounded before the unit is chosen: 999.6 ms are `1.0s`, not `1000ms`.
    let (whole_ms, tenths) = (milliseconds.round(), (milliseconds / 100.0).round());
    if whole_ms < 1000.0 {
        format!("{whole_ms:.0}ms")
    } else if tenths < 600.0 {
        format!("{:.1}s", tenths / 10.0)
    } else {
        let seconds = (milliseconds / 1e3).round();
        format!("{}m {:.0}s", (seconds / 60.0).floor(), seconds % 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_cannot_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb");
        assert_eq!(printable("Ærø ✓"), "Ærø ✓");
    }

    #[test]
    fn durations_read_naturally() {
        assert_eq!(duration(12.4), "12ms");
        assert_eq!(duration(3_449.0), "3.4s");
        assert_eq!(duration(125_000.0), "2m 5s");
        assert_eq!(duration(119_600.0), "2m 0s");
        assert_eq!(duration(59_960.0), "1m 0s");
        assert_eq!(duration(999.6), "1.0s");
    }
}
