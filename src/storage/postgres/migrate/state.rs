//! The state of the schema.

/// The version of the schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchemaState {
    /// Number of the last migration that was applied; 0 before the first.
    pub version: u32,
    /// Whether that migration stopped half way.
    pub is_dirty: bool,
}
