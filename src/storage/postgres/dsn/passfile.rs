//! Password files (`.pgpass`): lines of `host:port:database:user:password`, of which the first that fits wins.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tracing::warn;

use super::error::DsnError;

/// The password for a server from the `named` file, else from the default one, which need not exist.
///
/// As in libpq, a file that other users can read is ignored.
pub(super) fn look_up(
    named: Option<&Path>,
    default: Option<&Path>,
    server: &Config,
) -> Result<Option<String>, DsnError> {
    let Some(path) = named.or(default) else { return Ok(None) };
    let failed = |error: std::io::Error| DsnError::Passfile {
        path: path.display().to_string(),
        cause: error.to_string(),
    };
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => return Ok(None),
        outcome => outcome.map_err(failed)?,
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        warn!("password file `{}` is not used: others may read it; `chmod 0600` it", path.display());
        return Ok(None);
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    Ok(text.lines().find_map(|line| password_for(server, line)))
}

/// The password on a line, if the line fits the server.
fn password_for(server: &Config, line: &str) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let [host, port, database, user, password] = fields(line)?;
    let user_name = server.get_user().unwrap_or_default();
    let known_port = server.get_ports().first().map(ToString::to_string);
    let known_host = match server.get_hosts().first()? {
        Host::Tcp(host) => host,
        Host::Unix(_) => "localhost",
    };
    let is_about = |field: &str, value: &str| field == "*" || field == value;
    let fits = is_about(&host, known_host)
        && is_about(&port, known_port.as_deref().unwrap_or_default())
        && is_about(&database, server.get_dbname().unwrap_or(user_name))
        && is_about(&user, user_name);
    fits.then_some(password)
}

/// The five fields of a line; a backslash escapes a colon.
fn fields(line: &str) -> Option<[String; 5]> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut()?.extend(characters.next()),
            _ => fields.last_mut()?.push(c),
        }
    }
    fields.try_into().ok()
}
