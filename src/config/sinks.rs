//! Options of sinks, for processes that accept runs and for those that send messages.

use std::path::PathBuf;

use clap::Args;

use super::folder;

/// Options of sinks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sinks")]
pub struct SinkArguments {
    /// Folder for file sinks, which append results to files below it; without it, file sinks are refused
    #[arg(long, env = "AGENTEVALS_FILE_SINKS_DIR", value_name = "DIR")]
    file_sinks_dir: Option<PathBuf>,
}

impl SinkArguments {
    /// The folder for file sinks.
    ///
    /// # Errors
    /// It is not a folder.
    pub fn files(&self) -> anyhow::Result<Option<PathBuf>> {
        folder("--file-sinks-dir", self.file_sinks_dir.as_deref())
    }
}
