//! Lines at the end of a file, below the folder that an operator has set aside.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// Why nothing was appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// It will not be different later.
    Refused(String),
    /// It may be: a full disk, a folder that is not there yet.
    Failed(std::io::Error),
}

/// Longest path that a sink may name, and longest part of it: what file systems bear.
const MAX_PATH_BYTES: usize = 1024;
const MAX_PART_BYTES: usize = 255;

/// The path below `folder` that `path`, relative to it or absolute, names without regard to links.
///
/// # Errors
/// It is not below, in words.
pub(super) fn below(folder: &Path, path: &str) -> Result<PathBuf, String> {
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

/// How often a file that somebody else has locked is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Appends text in one write, while no other process of ours does; a part that was written is taken back.
///
/// # Errors
/// See [`AppendError`]; also when somebody else has the file locked for longer than `patience`.
pub(super) fn append(folder: &Path, path: &str, text: &str, patience: Duration) -> Result<(), AppendError> {
    let mut file = open(folder, path)?;
    lock(&file, patience).map_err(AppendError::Failed)?;
    let length = file.metadata().map_err(AppendError::Failed)?.len();
    match file.write_all(text.as_bytes()) {
        Ok(()) => Ok(()),
        Err(error) => {
            // No line of somebody else can have come behind it.
            let _ = file.set_len(length);
            Err(AppendError::Failed(error))
        }
    }
}

/// Waits for the file's lock, but not for ever: the thread is needed for other files.
fn lock(file: &File, patience: Duration) -> std::io::Result<()> {
    let end = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => {
                return Err(std::io::Error::new(ErrorKind::ResourceBusy, "somebody else has it locked"));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
        }
    }
}

/// Opens the file, links resolved; it has to be a regular one or none yet.
fn open(folder: &Path, path: &str) -> Result<File, AppendError> {
    let named = below(folder, path).map_err(AppendError::Refused)?;
    let outside = || AppendError::Refused(format!("`{path}` leads out of the folder of file sinks"));
    let folder = folder.canonicalize().map_err(AppendError::Failed)?;
    let parent = named.parent().unwrap_or(&folder).canonicalize().map_err(AppendError::Failed)?;
    let target = match named.canonicalize() {
        Ok(target) => target,
        // A link to what is not there would be created where it leads.
        Err(_) if named.is_symlink() => return Err(outside()),
        Err(_) => parent.join(named.file_name().unwrap_or_default()),
    };
    if !target.starts_with(&folder) {
        return Err(outside());
    }
    // Before it is opened: a pipe would have to be waited for.
    if target.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(AppendError::Refused(format!("`{path}` is no regular file")));
    }
    let opened = OpenOptions::new().append(true).create(true).mode(0o640).open(target);
    opened.map_err(AppendError::Failed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let folder = Path::new("/srv/out");
        for path in ["a.jsonl", "team/a.jsonl", "/srv/out/a.jsonl", "a..jsonl"] {
            assert!(below(folder, path).is_ok_and(|file| file.starts_with(folder)), "{path}");
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
            assert!(below(folder, path).unwrap_err().contains("below the folder"), "{path}");
        }
        for path in ["x".repeat(256), "x/".repeat(600) + "a"] {
            assert!(below(folder, &path).unwrap_err().contains("is no file"), "{path}");
        }
    }

    #[test]
    fn links_that_lead_elsewhere_are_not_followed() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("there"), "").unwrap();
        symlink(outside.path(), inside.path().join("folder")).unwrap();
        symlink(outside.path().join("there"), inside.path().join("file")).unwrap();
        symlink(outside.path().join("not there"), inside.path().join("dangling")).unwrap();
        fs::create_dir(inside.path().join("real")).unwrap();
        symlink(inside.path().join("real"), inside.path().join("link")).unwrap();
        for path in ["folder/there", "folder/new", "file", "dangling", "real"] {
            let refused = append(inside.path(), path, "x\n", Duration::ZERO);
            assert!(matches!(refused, Err(AppendError::Refused(_))), "{path}: {refused:?}");
        }
        assert_eq!(fs::read_to_string(outside.path().join("there")).unwrap(), "");
        assert!(!outside.path().join("not there").exists() && !outside.path().join("new").exists());
        append(inside.path(), "link/a", "x\n", Duration::ZERO).unwrap();
        append(inside.path(), "link/a", "y\n", Duration::ZERO).unwrap();
        assert_eq!(fs::read_to_string(inside.path().join("real/a")).unwrap(), "x\ny\n");
        let nowhere = append(inside.path(), "no/folder", "x", Duration::ZERO);
        assert!(matches!(nowhere, Err(AppendError::Failed(_))));
    }

    #[test]
    fn a_file_that_somebody_keeps_locked_is_given_up_for_now() {
        let folder = tempfile::tempdir().unwrap();
        let held = File::create(folder.path().join("a")).unwrap();
        held.lock().unwrap();
        let patience = Duration::from_millis(50);
        let refused = append(folder.path(), "a", "x\n", patience).unwrap_err();
        assert!(matches!(&refused, AppendError::Failed(error) if error.to_string().contains("locked")));
        held.unlock().unwrap();
        append(folder.path(), "a", "x\n", patience).unwrap();
    }
}
