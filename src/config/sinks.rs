//! What sinks may do where they are accepted and where they are delivered.

use std::path::PathBuf;

use clap::Args;

use super::folder;

/// What sinks may do.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sinks")]
pub struct SinkArguments {
    /// Folder below which runs may have their results appended to files; without it such sinks are refused
    #[arg(long, env = "AGENTEVALS_FILE_SINKS_DIR", value_name = "DIR")]
    file_sinks_dir: Option<PathBuf>,
}

impl SinkArguments {
    /// The folder below which results may be appended to files.
    ///
    /// # Errors
    /// It is no folder.
    pub fn files(&self) -> anyhow::Result<Option<PathBuf>> {
        folder("--file-sinks-dir", self.file_sinks_dir.as_deref())
    }
}
