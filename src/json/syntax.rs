//! The fault of a text that is not JSON or YAML.

/// Why a text cannot be parsed, and the place of the fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at line {line} column {column}")]
pub struct SyntaxError {
    /// Description of the fault.
    pub reason: String,
    /// Line of the fault, from 1.
    pub line: usize,
    /// Column of the fault in bytes, from 1.
    pub column: usize,
    /// Byte offset of the fault.
    pub offset: usize,
}

impl SyntaxError {
    /// Locates `offset` in `text`; a line break belongs to the line it ends.
    pub fn new(reason: impl Into<String>, text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column = offset - memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1) + 1;
        Self { reason: reason.into(), line, column, offset }
    }
}
