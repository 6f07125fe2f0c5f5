//! The faults of a connection string.

/// A fault of a connection string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    /// It names no server.
    #[error("it names no host; write postgres://USER@HOST/DATABASE, or host=/DIRECTORY for a Unix socket")]
    NoHost,
    /// It has neither form of a connection string.
    #[error("{0}")]
    Syntax(&'static str),
    /// An option has an invalid value.
    #[error("option `{option}` must be {expected}")]
    Value {
        /// The option.
        option: &'static str,
        /// Description of valid values.
        expected: &'static str,
    },
    /// The driver refuses the options that are handed to it.
    #[error("{0}")]
    Driver(String),
    /// A password file cannot be read.
    #[error("reading password file `{path}`: {cause}")]
    Passfile {
        /// The file.
        path: String,
        /// The cause.
        cause: String,
    },
}
