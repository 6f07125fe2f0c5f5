//! The kinds of targets.

/// The kind of a target: where the traces of a run come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// From the specification itself.
    Inline,
    /// From a URL.
    Http,
    /// From an upload, which was evaluated at once and not kept; such a run cannot be executed again.
    Uploaded,
}

impl TargetKind {
    /// The names in specifications, answers and SQL.
    pub const NAMES: [(&'static str, Self); 3] =
        [("inline", Self::Inline), ("http", Self::Http), ("uploaded", Self::Uploaded)];
}
