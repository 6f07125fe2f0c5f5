//! File sinks: lines appended to a file below the operator's folder for file sinks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::lines::lines;
use super::turns::BlockingTurns;
use crate::outbox::sent::{SendError, Sent};
use crate::spec::path_below;

/// Most threads that write files at a time: a file system that hangs must not take all blocking threads.
const THREADS: usize = 8;

/// Appends to files below the folder, if the operator has set one.
#[derive(Debug)]
pub(in crate::outbox) struct FileWriter {
    folder: Option<PathBuf>,
    turns: BlockingTurns,
}

impl FileWriter {
    pub(in crate::outbox) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, turns: BlockingTurns::new(THREADS) }
    }

    /// The folder.
    pub(in crate::outbox) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Appends the lines of a message to the file at `path`.
    pub(in crate::outbox) async fn append(
        &self,
        path: &str,
        body: &str,
        timeout: Duration,
    ) -> Result<Sent, SendError> {
        let folder = self.folder.clone();
        let folder =
            folder.ok_or_else(|| SendError::for_now("files are not written where results are delivered"))?;
        let (path, text) = (path.to_owned(), lines(body)?);
        let append = move || {
            append(&folder, &path, &text, timeout).map_err(|error| match error {
                AppendError::Refused(why) => SendError::new(why),
                AppendError::Failed(error) => SendError::for_now(format!("file `{path}`: {error}")),
            })
        };
        self.turns.take(timeout, append).await
    }
}

/// Why nothing was appended.
#[derive(Debug)]
enum AppendError {
    /// The path cannot be used.
    Refused(String),
    /// It may succeed later: the disk is full, or the folder does not exist yet.
    Failed(std::io::Error),
}

/// Pause before a file that is locked is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Appends text under the file's lock, so that processes do not mix their lines; a partial write is undone.
///
/// # Errors
/// See [`AppendError`]; also if the file stays locked for longer than `patience`.
fn append(folder: &Path, path: &str, text: &str, patience: Duration) -> Result<(), AppendError> {
    let mut file = open(folder, path)?;
    lock(&file, patience).map_err(AppendError::Failed)?;
    let length = file.metadata().map_err(AppendError::Failed)?.len();
    match file.write_all(text.as_bytes()) {
        Ok(()) => Ok(()),
        Err(error) => {
            // Nobody else has written behind it, because the lock is held.
            let _ = file.set_len(length);
            Err(AppendError::Failed(error))
        }
    }
}

/// Waits for the file's lock, at most for `patience`, because the thread is needed for other files.
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

/// Opens or creates a regular file. Links are resolved, and the file they lead to must be below the folder too.
fn open(folder: &Path, path: &str) -> Result<File, AppendError> {
    let named = path_below(folder, path).map_err(AppendError::Refused)?;
    let outside = || AppendError::Refused(format!("`{path}` leads out of the folder of file sinks"));
    let folder = folder.canonicalize().map_err(AppendError::Failed)?;
    let parent = named.parent().unwrap_or(&folder).canonicalize().map_err(AppendError::Failed)?;
    let target = match named.canonicalize() {
        Ok(target) => target,
        // Opening a dangling link would create the file outside.
        Err(_) if named.is_symlink() => return Err(outside()),
        Err(_) => parent.join(named.file_name().unwrap_or_default()),
    };
    if !target.starts_with(&folder) {
        return Err(outside());
    }
    // Checked before opening, because opening a named pipe blocks until it has a reader.
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
