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

/// Every difference; each has to be seen.
pub(super) const ALLOWED: [Allowed; 1] = [meant("*", "data.spec", "answered on request only")];

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
