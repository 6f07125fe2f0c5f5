//! Trace and span ids in the spellings that files have: hexadecimal in either case, shortened, or base64.

use std::borrow::Cow;

use base64::Engine;

/// Bytes in a trace id.
pub(super) const TRACE_ID_BYTES: usize = 16;
/// Bytes in a span id.
pub(super) const SPAN_ID_BYTES: usize = 8;

/// An id, by the spelling in which it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Id<'a> {
    /// No id, or an empty one.
    Absent,
    /// All zeros, which OpenTelemetry forbids.
    Invalid,
    /// Hexadecimal; here in lower case.
    Known(Cow<'a, str>),
    /// Base64 of the right length; here as hexadecimal.
    FromBase64(Cow<'a, str>),
    /// Neither; here in lower case.
    Odd(Cow<'a, str>),
}

impl<'a> Id<'a> {
    /// Reads an id of `bytes` bytes.
    pub(super) fn read(text: Option<Cow<'a, str>>, bytes: usize) -> Self {
        let Some(text) = text.map(trim).filter(|text| !text.is_empty()) else {
            return Self::Absent;
        };
        if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            if text.len() == 2 * bytes && text.bytes().all(|byte| byte == b'0') {
                return Self::Invalid;
            }
            // Of any length: some exporters cut leading zeros, and old Jaeger trace ids have 64 bits.
            return Self::Known(lowercase(text));
        }
        if let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(text.as_bytes())
            && decoded.len() == bytes
        {
            if decoded.iter().all(|byte| *byte == 0) {
                return Self::Invalid;
            }
            let hex: String = decoded.iter().map(|byte| format!("{byte:02x}")).collect();
            return Self::FromBase64(Cow::Owned(hex));
        }
        Self::Odd(lowercase(text))
    }

    /// The id, if it can be used.
    pub(super) fn into_known(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Absent | Self::Invalid => None,
            Self::Known(id) | Self::FromBase64(id) | Self::Odd(id) => Some(id),
        }
    }
}

/// The form in which ids are compared: `00ab` and `ab` name the same trace, since exporters pad differently.
pub(super) fn join_key(id: &str) -> &str {
    if id.starts_with('0') && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let significant = id.trim_start_matches('0');
        return if significant.is_empty() { "0" } else { significant };
    }
    id
}

fn trim(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

fn lowercase(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        return Cow::Owned(text.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Id<'_> {
        Id::read(Some(Cow::Borrowed(text)), SPAN_ID_BYTES)
    }

    #[test]
    fn ids_come_in_many_spellings() {
        assert_eq!(read(" 00F067AA0BA902B7 "), Id::Known("00f067aa0ba902b7".into()));
        assert_eq!(read("0000000000000000"), Id::Invalid);
        assert_eq!(read("f067aa0ba902b7"), Id::Known("f067aa0ba902b7".into()));
        assert_eq!(read("APBnqgupArc="), Id::FromBase64("00f067aa0ba902b7".into()));
        assert_eq!(read("AAAAAAAAAAA="), Id::Invalid);
        assert_eq!(read("Span-7"), Id::Odd("span-7".into()));
        assert_eq!(read("  "), Id::Absent);
    }

    #[test]
    fn padding_does_not_separate_ids() {
        assert_eq!(join_key("00f067aa0ba902b7"), join_key("f067aa0ba902b7"));
        assert_eq!(join_key("0-not-hex"), "0-not-hex");
    }
}
