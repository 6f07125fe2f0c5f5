//! Folders that arguments name.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// The absolute path of the folder that an argument names; `None` if it is left out or empty.
///
/// # Errors
/// The folder does not exist or is not a folder.
pub(super) fn folder(argument: &str, path: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else { return Ok(None) };
    let about = || format!("{argument} `{}`", path.display());
    let metadata = path.metadata().with_context(about)?;
    ensure!(metadata.is_dir(), "{} is no folder", about());
    Ok(Some(std::path::absolute(path).with_context(about)?))
}
