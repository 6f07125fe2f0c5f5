//! Exit codes of all commands.

/// Evaluated and passed.
pub const EXIT_PASSED: u8 = 0;
/// Evaluated and not passed.
pub const EXIT_FAILED: u8 = 1;
/// Bad usage, input or configuration.
pub const EXIT_USAGE: u8 = 2;
/// Could not be evaluated.
pub const EXIT_ERRORED: u8 = 3;
/// Interrupted by a signal.
pub const EXIT_INTERRUPTED: u8 = 130;
