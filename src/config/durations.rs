//! Durations as arguments: seconds with or without `s`, ages with a unit.

use std::time::Duration;

/// Longest time that can be set: thirty days, more than anything here should take.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Greatest age that can be set: a hundred years, so that now less the age is a time that every clock can represent.
const OLDEST: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// Parses a positive number of seconds: `5`, `1.5` or `30s`.
pub(super) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let number = text.trim().strip_suffix('s').unwrap_or(text).trim();
    let seconds: f64 = number.parse().map_err(|_| "is not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration.is_zero() => Err("must be more than 0".to_owned()),
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Err(_) if seconds <= 0.0 => Err("must be more than 0".to_owned()),
        _ => Err(format!("must be at most {} s", LONGEST.as_secs())),
    }
}

/// Parses a positive whole number with its unit: s, m, h or d.
pub(super) fn parse_age(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number with its unit, as `30d`, `12h`, `90m` or `60s`".to_owned();
    let unit = text.chars().last().ok_or_else(expected)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(expected()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| expected())?;
    match number.checked_mul(seconds).map(Duration::from_secs) {
        Some(Duration::ZERO) => Err("must be more than 0".to_owned()),
        Some(age) if age <= OLDEST => Ok(age),
        _ => Err(format!("must be at most {} days", OLDEST.as_secs() / (24 * 3600))),
    }
}

/// Parses a positive whole number of seconds.
pub(super) fn parse_whole_seconds(text: &str) -> Result<Duration, String> {
    match parse_seconds(text)? {
        duration if duration.subsec_nanos() == 0 => Ok(duration),
        _ => Err("must be a whole number of seconds".to_owned()),
    }
}

/// Parses a number of seconds that is at least one.
pub(super) fn parse_a_second_or_more(text: &str) -> Result<Duration, String> {
    match parse_seconds(text)? {
        short if short < Duration::from_secs(1) => Err("must be at least 1 s".to_owned()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_units() {
        for (text, seconds) in [("60s", 60), ("90m", 5400), ("12h", 43_200), ("30d", 2_592_000)] {
            assert_eq!(parse_age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "d", "30", "0d", "-1d", "1.5h", "1w", "36501d", "18446744073709551615d", "30dd", "3\u{e9}"]
        {
            assert!(parse_age(text).is_err(), "{text}");
        }
    }
}
