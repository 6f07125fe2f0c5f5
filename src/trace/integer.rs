//! Integers as exporters write them: JSON numbers or strings, with exponents or fractions, more than 53 bits wide.

use crate::json::{Reader, SyntaxError, Token, parse_int};

/// An integer member, read leniently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Integer {
    /// Not there, null or an empty string.
    Absent,
    /// The number; booleans count as 0.
    Value(i64),
    /// There, but not a number.
    Malformed,
}

/// Reads an integer from a number or a string without rounding it.
pub(super) fn integer(reader: &mut Reader<'_>) -> Result<Integer, SyntaxError> {
    Ok(match reader.peek()? {
        Token::Null => {
            reader.skip()?;
            Integer::Absent
        }
        Token::Bool => {
            reader.skip()?;
            Integer::Value(0)
        }
        Token::Number => exact_integer(reader.raw()?),
        Token::Str => {
            let text = reader.string()?.unwrap_or_default();
            if text.trim().is_empty() { Integer::Absent } else { exact_integer(&text) }
        }
        Token::List | Token::Map => {
            reader.skip()?;
            Integer::Malformed
        }
    })
}

/// The integer part of a decimal number, computed on its digits: `1.7000000000010004e18` loses nothing.
fn exact_integer(text: &str) -> Integer {
    if let Some(number) = parse_int(text) {
        return Integer::Value(number);
    }
    let text = text.trim();
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.bytes().chain(fraction.bytes());
    let has_digits = !(whole.is_empty() && fraction.is_empty());
    if !has_digits || !digits.clone().all(|byte| byte.is_ascii_digit()) {
        return Integer::Malformed;
    }
    let Ok(exponent) = exponent.parse::<i32>() else {
        return Integer::Malformed;
    };
    let leading_zeros = digits.clone().take_while(|byte| *byte == b'0').count();
    // Digits in front of the decimal point once the exponent has moved it; 64 bits hold 19, the 20th overflows them.
    let kept = whole.len() as i64 + i64::from(exponent) - leading_zeros as i64;
    let kept = kept.clamp(0, 20) as usize;
    let mut magnitude: i128 = 0;
    for digit in digits.skip(leading_zeros).chain(std::iter::repeat(b'0')).take(kept) {
        magnitude = magnitude * 10 + i128::from(digit - b'0');
    }
    let signed = if negative { -magnitude } else { magnitude };
    Integer::Value(signed.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_however_they_are_written() {
        for (text, number) in [
            ("1700000000001000003", 1_700_000_000_001_000_003),
            ("1.700000000001000003e18", 1_700_000_000_001_000_003),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("-1.9", -1),
            ("5e-1", 0),
            ("1e400", i64::MAX),
            ("12E2", 1200),
        ] {
            assert_eq!(exact_integer(text), Integer::Value(number), "{text}");
        }
        for text in ["", ".", "abc", "1e", "0x10", "1 2"] {
            assert_eq!(exact_integer(text), Integer::Malformed, "{text}");
        }
    }
}
