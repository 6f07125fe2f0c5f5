//! Reads files, directories and standard input into documents.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rayon::prelude::*;

use crate::trace::{Document, GZIP_MAGIC, LoadError};

/// Stands for standard input.
pub(super) const STDIN: &str = "-";

/// Largest configuration that is read: far more than people write by hand.
pub(super) const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Largest eval set that is read: room for tens of thousands of cases.
pub(super) const MAX_EVAL_SET_BYTES: u64 = 256 << 20;

/// Endings of the files that are read from a directory.
const TRACE_SUFFIXES: [&str; 6] = [".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz"];

/// Size of the parts that threads read in parallel.
const READ_BYTES: usize = 4 << 20;

/// Deepest level of subdirectories that is searched.
const MAX_DEPTH: usize = 16;

/// Replaces directories by the trace files in them, sorted by path.
///
/// # Errors
/// A path does not exist, is a directory without trace files, or is neither file nor directory.
pub(super) fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() == STDIN {
            files.push(path.clone());
            continue;
        }
        let metadata = fs::metadata(path).with_context(|| format!("`{}`", path.display()))?;
        if metadata.is_dir() {
            let before = files.len();
            list(path, 0, &mut files)?;
            if files.len() == before {
                bail!("`{}` holds no trace files ({})", path.display(), TRACE_SUFFIXES.join(", "));
            }
            files[before..].sort();
        } else {
            check_kind(path, &metadata).map_err(anyhow::Error::msg)?;
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// Refuses pipes and devices, on which reading could block for ever.
fn check_kind(path: &Path, metadata: &fs::Metadata) -> Result<(), String> {
    // A shell's `<(command)` is a pipe too, but its writer is already there.
    let is_substitution = path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd");
    if metadata.is_file() || is_substitution {
        return Ok(());
    }
    Err(match metadata.file_type().is_fifo() {
        true => {
            format!("`{}` is a named pipe; send its content to standard input and give `-`", path.display())
        }
        false => format!("`{}` is neither a file nor a directory", path.display()),
    })
}

fn list(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let reading = || format!("reading directory `{}`", directory.display());
    for entry in fs::read_dir(directory).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let (kind, name) = (entry.file_type().with_context(reading)?, entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if kind.is_dir() && depth < MAX_DEPTH {
            list(&entry.path(), depth + 1, files)?;
        } else if TRACE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Reads one file or standard input, and decompresses gzip.
///
/// # Errors
/// A message that names the file; for a file that is too large it ends with `remedy`.
pub(super) fn read(path: &Path, max_bytes: u64, remedy: &str) -> Result<Document, String> {
    let is_stdin = path.as_os_str() == STDIN;
    let name = if is_stdin { "<stdin>".to_owned() } else { path.display().to_string() };
    let read = match is_stdin {
        true => Document::read(&*name, io::stdin().lock(), max_bytes),
        false => {
            if let Ok(metadata) = fs::metadata(path) {
                check_kind(path, &metadata)?;
            }
            File::open(path).and_then(|file| read_file(&name, file, max_bytes))
        }
    };
    read.map_err(|error| format!("`{name}`: {error}"))?.map_err(|error| match error {
        LoadError::TooLarge { .. } => format!("{error}; {remedy}"),
        error => error.to_string(),
    })
}

/// Reads an open file; a regular one in parallel parts on all cores.
fn read_file(name: &str, file: File, max_bytes: u64) -> io::Result<Result<Document, LoadError>> {
    let metadata = file.metadata()?;
    let size = match usize::try_from(metadata.len()) {
        // Files under /proc report a size of 0 and have content all the same.
        Ok(size @ 1..) if metadata.is_file() && metadata.len() <= max_bytes => size,
        _ => return Document::read(name, file, max_bytes),
    };
    let mut bytes = vec![0; size];
    if size <= READ_BYTES {
        file.read_exact_at(&mut bytes, 0)?; // not worth starting threads for
    } else {
        let parts = bytes.par_chunks_mut(READ_BYTES).enumerate();
        parts.try_for_each(|(index, part)| file.read_exact_at(part, (index * READ_BYTES) as u64))?;
    }
    match bytes.starts_with(GZIP_MAGIC) {
        true => Document::read(name, &*bytes, max_bytes),
        false => Ok(Document::from_bytes(name, bytes, max_bytes)),
    }
}
