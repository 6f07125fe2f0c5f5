//! Choices that a format leaves to its caller.

/// Settings of formats for people; formats for programs ignore them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RenderOptions {
    /// Colours text with ANSI escape sequences.
    pub colors: bool,
}
