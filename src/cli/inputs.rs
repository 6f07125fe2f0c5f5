//! Files, directories and standard input to documents.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::trace::Document;

/// Stands for standard input.
pub(super) const STDIN: &str = "-";

/// File names that are read when a directory is given.
const TRACE_SUFFIXES: [&str; 6] = [".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz"];

/// Deepest directory that is looked into.
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

/// Refuses what reading could wait on for ever.
fn check_kind(path: &Path, metadata: &fs::Metadata) -> Result<(), String> {
    // A shell's `<(command)` is a pipe too, but one that is sure to have a writer.
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

/// Reads one file or standard input; gzip is decompressed.
///
/// # Errors
/// In words, naming the file.
pub(super) fn read(path: &Path, max_bytes: u64) -> Result<Document, String> {
    let is_stdin = path.as_os_str() == STDIN;
    let name = if is_stdin { "<stdin>".to_owned() } else { path.display().to_string() };
    let source: io::Result<Box<dyn Read>> = match is_stdin {
        true => Ok(Box::new(io::stdin().lock())),
        false => {
            if let Ok(metadata) = fs::metadata(path) {
                check_kind(path, &metadata)?;
            }
            File::open(path).map(|file| Box::new(file) as Box<dyn Read>)
        }
    };
    let read = source.and_then(|source| Document::read(&*name, source, max_bytes));
    read.map_err(|error| format!("`{name}`: {error}"))?.map_err(|error| error.to_string())
}
