//! Limits of storage in memory.

/// Limits of storage in memory.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// Most runs.
    pub runs: usize,
    /// Most bytes of their specifications together.
    pub spec_bytes: usize,
}

impl Default for MemoryLimits {
    /// As many runs as a busy team makes in a day, in no more memory than a laptop has.
    fn default() -> Self {
        Self { runs: 10_000, spec_bytes: 512 << 20 }
    }
}
