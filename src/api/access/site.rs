//! Protection from pages of other sites (CSRF, DNS rebinding), and CORS for pages that are allowed.
//!
//! Any page can make a browser send simple requests, such as a form's POST, to any address that the browser reaches; the
//! headers `Origin` and `Sec-Fetch-Site` reveal it. If the page's own host name is made to resolve to this server (DNS
//! rebinding), the browser takes both for one site; the header `Host` reveals it. Programs other than browsers send no
//! `Origin` and pass.

use std::net::IpAddr;
use std::str::FromStr;

use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

use crate::api::problem::Problem;

/// The origin of a page, as in the header `Origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    /// Host and port, without the default port of the scheme.
    authority: String,
}

/// The text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no origin; expected `SCHEME://HOST` or `SCHEME://HOST:PORT`, without a path")]
pub struct NotAnOrigin(String);

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || NotAnOrigin(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let (scheme, authority) = lower.split_once("://").ok_or_else(fault)?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let is_authority = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let is_made_of = |text: &str, fits: &dyn Fn(u8) -> bool| !text.is_empty() && text.bytes().all(fits);
        if !is_made_of(scheme, &is_scheme) || !is_made_of(authority, &is_authority) {
            return Err(fault());
        }
        Ok(Self { scheme: scheme.to_owned(), authority: without_own_port(scheme, authority).to_owned() })
    }
}

impl Origin {
    /// Whether this is the origin of the server's own pages, if it is addressed as `host`. The scheme is not compared:
    /// a proxy may terminate TLS.
    fn is_of(&self, host: &str) -> bool {
        without_own_port(&self.scheme, &host.to_ascii_lowercase()) == self.authority
    }
}

fn without_own_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return authority,
    };
    authority.strip_suffix(port).unwrap_or(authority)
}

/// Origins of pages that may use the API; as text, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins(Vec<Origin>);

impl Origins {
    /// The default: the two development servers of the reference implementation.
    pub const DEFAULT: &'static str = "http://localhost:5173,http://localhost:5174";
}

impl Default for Origins {
    fn default() -> Self {
        let origin = |port| Origin { scheme: "http".to_owned(), authority: format!("localhost:{port}") };
        Self([5173, 5174].map(origin).into())
    }
}

impl FromStr for Origins {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        listed(text).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Names of this machine besides `localhost`; as text, separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl FromStr for Hosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let host = |text: &str| match text.contains('/') || name_of(text) != text.trim_matches(['[', ']']) {
            true => Err(format!("`{text}` is no host; expected a name or address, without a port")),
            false => Ok(name_of(text).to_ascii_lowercase()),
        };
        listed(text).map(host).collect::<Result<_, _>>().map(Self)
    }
}

impl Hosts {
    fn admit(&self, host: &str) -> bool {
        let name = name_of(host).to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let is_loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        is_loopback
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.0.iter().any(|it| it == name)
    }
}

fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// A host without its port, an IPv6 address without its brackets.
fn name_of(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match host.rsplit_once(':') {
        Some((name, _)) if !name.contains(':') => name,
        _ => host,
    }
}

/// The host that a request addresses: in the header, or in the target of HTTP/2 and of requests to proxies.
fn host(request: &Request) -> Option<&str> {
    let header = request.headers().get(header::HOST).map(|value| value.to_str().unwrap_or_default());
    header.or_else(|| request.uri().authority().map(|authority| authority.as_str()))
}

/// Refuses requests whose `Host` is no name of this machine.
pub(super) fn check_host(request: &Request, hosts: &Hosts) -> Result<(), Problem> {
    match host(request) {
        Some(host) if !hosts.admit(host) => {
            let detail = format!(
                "`{host}` in the header `Host` is no name of this machine; use `localhost`, or start the server with \
                 --allowed-hosts"
            );
            Err(Problem::new(StatusCode::FORBIDDEN, "unknown_host", detail))
        }
        _ => Ok(()),
    }
}

/// Refuses requests that a browser sends for a page of another site.
pub(super) fn check_origin(request: &Request, origins: &Origins) -> Result<(), Problem> {
    let site = request.header("sec-fetch-site").unwrap_or_default();
    let is_own = |origin: &Origin| host(request).is_some_and(|host| origin.is_of(host));
    let is_allowed = |origin: &Origin| origins.0.contains(origin) || is_own(origin);
    let page = match request.headers().get(header::ORIGIN) {
        Some(origin) if parsed(origin).is_some_and(|origin| is_allowed(&origin)) => return Ok(()),
        Some(origin) => format!("pages of `{}`", origin.as_bytes().escape_ascii()),
        None if site == "cross-site" => "pages of other sites".to_owned(),
        None => return Ok(()),
    };
    let detail =
        format!("{page} may not use this service; --cors-origins of the server names those that may");
    Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", detail))
}

fn parsed(origin: &HeaderValue) -> Option<Origin> {
    origin.to_str().ok()?.parse().ok()
}

/// Methods that pages of other origins may use.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, DELETE");
/// Headers that those pages may set, beyond those that browsers allow anyway.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, X-Request-Id",
);
/// Headers that those pages may read, likewise.
const RESPONSE_HEADERS: HeaderValue =
    HeaderValue::from_static("ETag, Location, Preference-Applied, Retry-After, X-Request-Id");

/// Seconds for which a browser may cache the answer to a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Answers a CORS preflight; `None` for other requests.
pub(super) fn preflight(request: &Request, origins: &Origins) -> Result<Option<Response>, Problem> {
    let is_asking = request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if *request.method() != Method::OPTIONS || !is_asking {
        return Ok(None);
    }
    check_origin(request, origins)?;
    let response = Response::builder()
        .header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
        .header(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS)
        .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE)
        .content_type("text/plain; charset=utf-8")
        .body("OK");
    Ok(Some(response))
}

/// The origin of the page that sent a request, if it is among the allowed ones.
pub(super) fn reader(request: &Request, origins: &Origins) -> Option<HeaderValue> {
    let origin = request.headers().get(header::ORIGIN)?;
    parsed(origin).filter(|page| origins.0.contains(page)).map(|_| origin.clone())
}

/// Lets the page of origin `reader` read an answer; `Vary` tells caches that answers differ by origin.
pub(super) fn share(response: &mut Response, reader: Option<HeaderValue>) {
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(reader) = reader {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, reader);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_it_says() {
        assert_eq!(Origins::DEFAULT.parse(), Ok(Origins::default()));
    }

    #[test]
    fn origins_are_compared_as_browsers_mean_them() {
        let origin = |text: &str| text.parse::<Origin>().unwrap();
        assert_eq!(origin("https://Example.com:443"), origin("HTTPS://example.com"));
        assert_ne!(origin("http://example.com:443"), origin("https://example.com"));
        assert_ne!(origin("http://example.com"), origin("https://example.com"));
        for (text, host, is_own) in [
            ("http://localhost:8001", "localhost:8001", true),
            ("https://evals.example", "evals.example:443", true),
            ("https://evals.example", "Evals.Example", true),
            ("http://localhost:3000", "localhost:8001", false),
            ("http://localhost", "localhost:8001", false),
            ("http://127.0.0.1:8001", "localhost:8001", false),
            ("http://[::1]:8001", "[::1]:8001", true),
            ("http://evals.example.evil", "evals.example", false),
        ] {
            assert_eq!(origin(text).is_of(host), is_own, "{text} {host}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in ["*", "null", "example.com", "http://", "://x", "http://x/", "http://u@x", "http://x y"] {
            assert!(text.parse::<Origins>().is_err(), "{text}");
        }
        assert_eq!(" , ".parse(), Ok(Origins(Vec::new())));
    }

    #[test]
    fn this_machine_has_few_names() {
        let hosts: Hosts = "evals.internal, [fd00::1]".parse().unwrap();
        for host in [
            "localhost",
            "LOCALHOST:8001",
            "localhost.:8001",
            "app.localhost",
            "127.0.0.1:8001",
            "127.9.9.9",
            "[::1]:8001",
            "Evals.internal:80",
            "[fd00::1]:8001",
        ] {
            assert!(hosts.admit(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8001",
            "notlocalhost",
            "0.0.0.0",
            "10.0.0.1",
            "evals.internal.evil.example",
            "",
        ] {
            assert!(!hosts.admit(host), "{host}");
        }
        for text in ["evals:8001", "http://evals", "[::1]:80"] {
            assert!(text.parse::<Hosts>().is_err(), "{text}");
        }
    }
}
