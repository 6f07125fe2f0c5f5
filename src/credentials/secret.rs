//! Secret values.

use std::fmt;

/// A secret value, which is neither printed nor serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value without the line breaks at its end, which most files have.
    pub fn new(value: impl Into<String>) -> Self {
        let mut value = value.into();
        value.truncate(value.trim_end_matches(['\r', '\n']).len());
        Self(value)
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_and_has_no_line_break_at_its_end() {
        let secret = Secret::new("a b\n c\r\n\n");
        assert_eq!(secret.expose(), "a b\n c");
        assert_eq!(format!("{:?}", Some(secret)), "Some([redacted])");
    }
}
