//! Parses the two forms of a connection string into options.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::CharIndices;

use percent_encoding::percent_decode_str;

use super::error::DsnError;

/// Options by name, decoded and unquoted.
pub(super) type Options = BTreeMap<String, String>;

/// PostgreSQL's port.
pub(super) const DEFAULT_PORT: &str = "5432";

/// `[user[:password]@][host[:port],…][/database][?option=value&…]`, every part percent-encoded.
pub(super) fn parse_url(rest: &str) -> Result<Options, DsnError> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, servers) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (hosts, ports) = parse_servers(servers)?;
    let mut options = Options::new();
    for (name, value) in
        [("user", user), ("password", password), ("host", &hosts), ("port", &ports), ("dbname", database)]
    {
        if !value.is_empty() {
            options.insert(name.to_owned(), decode(value)?);
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let syntax = DsnError::Syntax("an option of the URL has no value; write ?option=value&option=value");
        let (name, value) = pair.split_once('=').ok_or(syntax)?;
        options.insert(decode(name)?, decode(value)?);
    }
    Ok(options)
}

/// The hosts and the ports of `host:port,[v6]:port`, each as a list with commas.
fn parse_servers(servers: &str) -> Result<(String, String), DsnError> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for server in servers.split(',') {
        let (host, port) = match server.strip_prefix('[') {
            Some(rest) => {
                let bracket = DsnError::Syntax("an IPv6 address of the URL lacks its closing bracket");
                let (host, port) = rest.split_once(']').ok_or(bracket)?;
                (host, port.strip_prefix(':').unwrap_or(port))
            }
            None => server.split_once(':').unwrap_or((server, "")),
        };
        hosts.push(host);
        ports.push(if port.is_empty() { DEFAULT_PORT } else { port });
    }
    // A URL without servers may name them in options.
    if hosts == [""] { Ok(Default::default()) } else { Ok((hosts.join(","), ports.join(","))) }
}

fn decode(text: &str) -> Result<String, DsnError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| DsnError::Syntax("a part of the URL is not UTF-8 once decoded"))
}

/// `key=value` pairs; values with spaces are quoted, and a backslash escapes a character.
pub(super) fn parse_pairs(text: &str) -> Result<Options, DsnError> {
    const NO_VALUE: DsnError =
        DsnError::Syntax("it is neither a postgres:// URL nor key=value pairs (spaces in values are quoted)");
    let mut options = Options::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(NO_VALUE)?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(NO_VALUE);
        }
        let after = after.trim_start();
        let mut characters = after.char_indices().peekable();
        let value = parse_value(&mut characters)?;
        let end = characters.peek().map_or(after.len(), |(index, _)| *index);
        options.insert(name.to_owned(), value);
        rest = after[end..].trim_start();
    }
    Ok(options)
}

/// The value at the front: up to its closing quote, or to the next space if it is not quoted.
fn parse_value(characters: &mut Peekable<CharIndices<'_>>) -> Result<String, DsnError> {
    let is_quoted = characters.next_if(|(_, c)| *c == '\'').is_some();
    let mut value = String::new();
    while let Some((_, c)) = characters.next_if(|(_, c)| is_quoted || !c.is_whitespace()) {
        match c {
            '\'' if is_quoted => return Ok(value),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    if is_quoted { Err(DsnError::Syntax("a quoted value lacks its closing quote")) } else { Ok(value) }
}
