//! How much is kept in memory.

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// Runs in all.
    pub runs: usize,
    /// Bytes of their specifications.
    pub spec_bytes: usize,
}

impl Default for MemoryLimits {
    /// As many runs as a busy team makes in a day, in memory that a laptop has.
    fn default() -> Self {
        Self { runs: 10_000, spec_bytes: 512 << 20 }
    }
}
