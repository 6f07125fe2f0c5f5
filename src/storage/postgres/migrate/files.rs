//! The migrations: pairs of files in `sql/migrations`, which are compiled into the program.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// First line of a file that must not run in a transaction, such as one with `CREATE INDEX CONCURRENTLY`.
const NO_TRANSACTION: &str = "-- agentevals: no transaction";

/// One step of the schema, and the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Its number; the first is 1.
    pub version: u32,
    /// Number and name, as in its files' names: `000001_runs`.
    pub name: &'static str,
    /// The SQL that applies it.
    pub up: &'static str,
    /// The SQL that reverts it.
    pub down: &'static str,
}

/// Whether a migration file must run without a transaction, one statement at a time.
pub(super) fn runs_without_transaction(sql: &str) -> bool {
    sql.lines().next().is_some_and(|line| line.trim_end() == NO_TRANSACTION)
}

/// The pairs of files with these names; the first six digits are the version.
macro_rules! migrations {
    ($($name:literal),* $(,)?) => {
        &[$(Migration {
            version: version_of($name),
            name: $name,
            up: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/migrations/", $name, ".up.sql")),
            down: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/migrations/", $name, ".down.sql")),
        }),*]
    };
}

/// Every migration of this program, in order.
pub const MIGRATIONS: &[Migration] = migrations!["000001_runs", "000002_deliveries"];

/// The first six digits of a name as a number.
const fn version_of(name: &str) -> u32 {
    let digits = name.as_bytes();
    let mut version = 0;
    let mut index = 0;
    while index < 6 {
        assert!(digits[index].is_ascii_digit(), "a migration's name begins with six digits");
        version = version * 10 + (digits[index] - b'0') as u32;
        index += 1;
    }
    version
}

/// Writes the next pair of files into a folder and returns their paths.
///
/// # Errors
/// The name is not a word, the folder cannot be read, or a file cannot be written or exists already.
pub fn create(folder: &Path, name: &str) -> io::Result<[PathBuf; 2]> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(is_word) {
        let text =
            format!("`{name}` is no name for a migration; it needs lower case letters, digits and `_`");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let number = next_number(folder)?;
    let write = |direction: &str, purpose: &str| {
        let path = folder.join(format!("{number:06}_{name}.{direction}.sql"));
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        writeln!(file, "-- {purpose}")?;
        Ok::<_, io::Error>(path)
    };
    let up = write("up", "Say here which change this makes, and why. Tables are named `agentevals.…`.")?;
    let down = write("down", "Reverts the other file.")?;
    Ok([up, down])
}

/// One more than the largest number at the start of a file name in the folder.
fn next_number(folder: &Path) -> io::Result<u32> {
    let mut last = 0;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number =
            name.to_str().and_then(|name| name.split_once('_')).and_then(|(digits, _)| digits.parse().ok());
        last = last.max(number.unwrap_or(0));
    }
    Ok(last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_pair_of_files_takes_the_next_number() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("000007_runs.up.sql"), "").unwrap();
        let [up, down] = create(folder.path(), "add_index").unwrap();
        assert_eq!(up, folder.path().join("000008_add_index.up.sql"));
        assert_eq!(down, folder.path().join("000008_add_index.down.sql"));
        assert!(up.is_file() && down.is_file());
    }

    #[test]
    fn a_name_is_a_word() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "Add", "a b", "../x", "é"] {
            assert!(create(folder.path(), name).is_err(), "{name}");
        }
    }
}
