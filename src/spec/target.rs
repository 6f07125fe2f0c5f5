//! Where the traces of a run come from.

/// Where the traces of a run come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// They are part of the specification.
    Inline,
    /// They are fetched from a URL.
    Http,
    /// They were uploaded, evaluated at once and not kept; such a run cannot be executed again.
    Uploaded,
}

impl TargetKind {
    /// The names used in specifications, answers and SQL.
    pub const NAMES: [(&'static str, Self); 3] =
        [("inline", Self::Inline), ("http", Self::Http), ("uploaded", Self::Uploaded)];
}
