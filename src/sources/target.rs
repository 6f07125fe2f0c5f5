//! The target `http`: the URL of a trace.

use reqwest::Url;

use crate::credentials::HeaderSources;
use crate::json::checked::{Cursor, Object};
use crate::net::{MAX_URL_BYTES, OutboundRules};

/// Placeholders for the id of the trace in `base_url`; without one, the id is appended to the path.
const PLACEHOLDERS: [&str; 2] = ["{trace_id}", "{traceId}"];

/// A trace at a URL.
#[derive(Debug)]
pub(crate) struct HttpTarget {
    /// Its URL; user information and query may be secrets.
    pub(crate) url: Url,
    /// Headers of the request.
    pub(crate) headers: HeaderSources,
}

impl HttpTarget {
    /// Reads the members `base_url` and `trace_id`; the headers are in another part of the specification.
    pub(crate) fn read(object: &Object<'_, '_>, rules: &OutboundRules) -> Option<Self> {
        let trace = object.required("trace_id", |id| {
            let text = id.string()?;
            let is_id = matches!(text.len(), 16 | 32) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_id {
                id.fault(format!("`{text}` is no trace id; expected 16 or 32 hexadecimal digits"));
            }
            is_id.then_some(text)
        });
        // The URL is checked even without a usable id, so that all faults are reported at once.
        let url =
            object.required("base_url", |base| read_url(base, trace.as_deref().unwrap_or("0"), rules))?;
        trace.map(|_| Self { url, headers: HeaderSources::default() })
    }
}

/// Reads the URL of a trace. Faults do not quote the text, which may hold a password.
fn read_url(cursor: &Cursor<'_, '_>, trace: &str, rules: &OutboundRules) -> Option<Url> {
    let text = cursor.string()?;
    let Some(url) = url_of(&text, trace).filter(|_| text.len() <= MAX_URL_BYTES) else {
        cursor.fault(format!("expected an absolute http or https URL of at most {MAX_URL_BYTES} bytes"));
        return None;
    };
    rules.check(&url).map_err(|refusal| cursor.fault(refusal.to_string())).ok()?;
    Some(url)
}

/// Replaces the placeholder by the id, or appends the id to the path.
fn url_of(base: &str, trace: &str) -> Option<Url> {
    let filled = PLACEHOLDERS.iter().fold(base.to_owned(), |text, name| text.replace(name, trace));
    let mut url = Url::parse(&filled).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    if filled == base {
        let path = format!("{}/{trace}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    url.set_fragment(None);
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stands_where_it_belongs() {
        for (base, expected) in [
            ("http://h", "http://h/ID"),
            ("http://h/", "http://h/ID"),
            ("http://h:16686/api/traces", "http://h:16686/api/traces/ID"),
            ("http://h/api/traces//", "http://h/api/traces/ID"),
            ("http://h/api/v2/traces?start=1&end=2", "http://h/api/v2/traces/ID?start=1&end=2"),
            ("http://u:p@h/a%2Fb/?key=1#part", "http://u:p@h/a%2Fb/ID?key=1"),
            ("http://h/{trace_id}/spans", "http://h/ID/spans"),
            ("http://h/traces?id={traceId}&x=1", "http://h/traces?id=ID&x=1"),
        ] {
            assert_eq!(url_of(base, "ID").unwrap().as_str(), expected, "{base}");
        }
        for base in ["", "/api", "h/api", "ftp://h/", "http://", "http://h:x/"] {
            assert_eq!(url_of(base, "ID"), None, "{base}");
        }
    }
}
