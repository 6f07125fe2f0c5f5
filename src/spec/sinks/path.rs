//! Paths of file sinks below the operator's folder for them.

use std::path::{Component, Path, PathBuf};

/// Longest path that a sink may name, and longest part of it: common limits of file systems.
const MAX_PATH_BYTES: usize = 1024;
const MAX_PART_BYTES: usize = 255;

/// The file below `folder` that `path` names, relative to it or absolute. Links are not resolved here.
///
/// # Errors
/// Why `path` is not below `folder`.
pub(crate) fn path_below(folder: &Path, path: &str) -> Result<PathBuf, String> {
    if path.len() > MAX_PATH_BYTES || path.split('/').any(|part| part.len() > MAX_PART_BYTES) {
        return Err(format!(
            "a path of more than {MAX_PATH_BYTES} bytes, or {MAX_PART_BYTES} in a part, is no file"
        ));
    }
    let named = Path::new(path);
    let relative = match named.is_absolute() {
        true => named.strip_prefix(folder).unwrap_or(named),
        false => named,
    };
    let is_below = relative.components().all(|part| matches!(part, Component::Normal(_)));
    match is_below && !relative.as_os_str().is_empty() && !path.ends_with('/') && !path.contains('\0') {
        true => Ok(folder.join(relative)),
        false => Err(format!("`{path}` is no file below the folder of file sinks")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let folder = Path::new("/srv/out");
        for path in ["a.jsonl", "team/a.jsonl", "/srv/out/a.jsonl", "a..jsonl"] {
            assert!(path_below(folder, path).is_ok_and(|file| file.starts_with(folder)), "{path}");
        }
        for path in [
            "",
            "/",
            ".",
            "..",
            "../a",
            "a/../../b",
            "/etc/passwd",
            "/srv/outside/a",
            "a/",
            "a\0b",
            "/srv/out",
        ] {
            assert!(path_below(folder, path).unwrap_err().contains("below the folder"), "{path}");
        }
        for path in ["x".repeat(256), "x/".repeat(600) + "a"] {
            assert!(path_below(folder, &path).unwrap_err().contains("is no file"), "{path}");
        }
    }
}
