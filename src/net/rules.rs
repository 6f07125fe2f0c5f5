//! Which addresses may be called.

use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

use super::address::{Block, why_not_public};

/// The addresses that may be called: all public ones, and others that an operator allows.
///
/// Parsed from a text: blocks (`10.0.0.0/8`), addresses and host names (`traces.internal`, `*.example.org`), separated
/// by commas, each with or without a port (`10.1.2.3:16686`, `[fd00::/8]:443`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboundRules(Vec<Allowed>);

/// A destination that may be called although it is not public.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    what: Destination,
    /// The only port; `None` allows every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Destination {
    Block(Block),
    /// The host with this name in lower case, at any address.
    Host(String),
    /// The hosts whose names end in this text, which begins with a dot.
    HostsBelow(String),
}

/// Why an address or URL may not be called; the text holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub(super) String);

impl Refusal {
    pub(super) fn of(host: &str, address: IpAddr, what: &str) -> Self {
        let whose = match host.trim_matches(['[', ']']) == address.to_string() {
            true => format!("`{host}`"),
            // The address stays out: users who name hosts must not learn the addresses of an internal network.
            false => format!("`{host}` leads to what"),
        };
        Self(format!(
            "{whose} is not public ({what}); an operator can allow it with AGENTEVALS_OUTBOUND_ALLOW"
        ))
    }
}

impl OutboundRules {
    /// Checks a URL before its host is resolved: the scheme, and an address in place of a host name. Resolvers are not
    /// asked about addresses, so this is their only check.
    ///
    /// # Errors
    /// The URL may not be called.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal(format!("`{}` is no scheme to call; use http or https", url.scheme())));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(Refusal("the URL names no host".to_owned()));
        };
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) => self.check_address(host, address, port),
            Err(_) => Ok(()),
        }
    }

    /// Checks an address to which a host name resolved.
    ///
    /// # Errors
    /// The address may not be called at that port.
    pub(super) fn check_address(&self, host: &str, address: IpAddr, port: u16) -> Result<(), Refusal> {
        let Some(what) = why_not_public(address) else { return Ok(()) };
        let is_meant = |allowed: &&Allowed| allowed.port.is_none_or(|only| only == port);
        match self.0.iter().filter(is_meant).any(|allowed| allowed.what.covers(host, address)) {
            true => Ok(()),
            false => Err(Refusal::of(host, address, what)),
        }
    }

    /// The ports that rules are limited to.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        self.0.iter().filter_map(|allowed| allowed.port)
    }
}

impl Destination {
    fn covers(&self, host: &str, address: IpAddr) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match self {
            Self::Block(block) => block.contains(address),
            Self::Host(name) => host.eq_ignore_ascii_case(name),
            Self::HostsBelow(end) => host.to_ascii_lowercase().ends_with(end),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(block) = Block::parse(text) {
            return Some(Self::Block(block));
        }
        match text.strip_prefix("*.") {
            Some(end) => Some(Self::HostsBelow(format!(".{}", host_name(end)?))),
            None => host_name(text).map(Self::Host),
        }
    }
}

/// A host name as URLs have it: in lower case, other scripts in Punycode.
fn host_name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let url = Url::parse(&format!("http://{text}/")).ok().filter(|_| text.chars().all(is_plain))?;
    let host = url.host_str()?;
    // URLs turn unusual spellings of addresses (`127.1`) into addresses, so such a rule would never apply.
    host.parse::<IpAddr>().is_err().then(|| host.to_owned())
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let port = |digits: &str| digits.parse::<u16>().ok().filter(|port| *port != 0);
        let parsed = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((inside, "")) => Destination::parse(inside).map(|what| (what, None)),
            Some((inside, after)) => {
                Destination::parse(inside).zip(after.strip_prefix(':').and_then(port).map(Some))
            }
            None => match (Destination::parse(text), text.rsplit_once(':')) {
                (Some(what), _) => Some((what, None)),
                (None, Some((before, digits))) => Destination::parse(before).zip(port(digits).map(Some)),
                (None, None) => None,
            },
        };
        let (what, port) = parsed.ok_or_else(|| {
            format!("`{text}` is no address, block (10.0.0.0/8) or host (x.example.org, *.example.org), each with :PORT or without")
        })?;
        Ok(Self { what, port })
    }
}

impl FromStr for OutboundRules {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(rules: &str, url: &str) -> Result<(), String> {
        let rules: OutboundRules = rules.parse().unwrap();
        rules.check(&Url::parse(url).unwrap()).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn public_addresses_may_be_called_and_no_others() {
        for url in [
            "http://8.8.8.8/",
            "https://1.1.1.1:8443/x?y",
            "http://172.15.255.255/",
            "http://172.32.0.0/",
            "http://100.63.255.255/",
            "http://100.128.0.0/",
            "http://192.167.0.1/",
            "http://198.17.255.255/",
            "http://198.20.0.0/",
            "http://223.255.255.255/",
            "http://[2606:4700:4700::1111]/",
            "http://[2a00:1450::1]:8080/",
            "http://[64:ff9b::808:808]/",
            "http://[2002:808:808::1]/",
            "http://example.org/",
            "http://localhost/", // where a name leads is seen when it is called
        ] {
            assert_eq!(verdict("", url), Ok(()), "{url}");
        }
        for (url, why) in [
            ("http://127.0.0.1/", "loopback"),
            ("http://127.255.255.254:8001/", "loopback"),
            ("http://2130706433/", "loopback"),
            ("http://0x7f.1/", "loopback"),
            ("http://0177.0.0.1/", "loopback"),
            ("http://127.1/", "loopback"),
            ("http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/", "loopback"),
            ("http://10.0.0.1/", "private"),
            ("http://172.16.0.1/", "private"),
            ("http://172.31.255.255/", "private"),
            ("http://192.168.1.1/", "private"),
            ("http://169.254.169.254/latest/meta-data/", "link-local"),
            ("http://2852039166/", "link-local"),
            ("http://168.63.129.16/", "metadata"),
            ("http://100.64.0.1/", "carrier"),
            ("http://100.100.100.200/", "carrier"),
            ("http://0.0.0.0/", "this network"),
            ("http://0/", "this network"),
            ("http://224.0.0.1/", "multicast"),
            ("http://239.255.255.250/", "multicast"),
            ("http://255.255.255.255/", "broadcast"),
            ("http://240.0.0.1/", "reserved"),
            ("http://192.0.0.192/", "reserved"),
            ("http://192.0.2.1/", "documentation"),
            ("http://198.51.100.1/", "documentation"),
            ("http://203.0.113.1/", "documentation"),
            ("http://192.88.99.1/", "reserved"),
            ("http://198.18.0.1/", "benchmarks"),
            ("http://198.19.255.255/", "benchmarks"),
            ("http://[::]/", "unspecified"),
            ("http://[::1]/", "loopback"),
            ("http://[::127.0.0.1]/", "in disguise"),
            ("http://[::ffff:127.0.0.1]/", "in disguise"),
            ("http://[::ffff:8.8.8.8]/", "in disguise"),
            ("http://[::8.8.8.8]/", "in disguise"),
            ("http://[fc00::1]/", "private"),
            ("http://[fd00:ec2::254]/", "private"),
            ("http://[fe80::1]/", "link-local"),
            ("http://[fec0::1]/", "site-local"),
            ("http://[ff02::1]/", "multicast"),
            ("http://[64:ff9b::a9fe:a9fe]/", "link-local"),
            ("http://[64:ff9b::7f00:1]/", "loopback"),
            ("http://[64:ff9b:1::808:808]/", "translator"),
            ("http://[2002:7f00:1::]/", "loopback"),
            ("http://[2002:a00:1::1]/", "private"),
            ("http://[2001::1]/", "tunnel"),
            ("http://[2001:20::1]/", "reserved"),
            ("http://[2001:db8::1]/", "documentation"),
            ("http://[3fff::1]/", "documentation"),
            ("http://[100::1]/", "reserved"),
            ("http://[5f00::1]/", "reserved"),
        ] {
            let refusal = verdict("", url).unwrap_err();
            assert!(refusal.contains("is not public"), "{url}: {refusal}");
            assert!(refusal.contains(why), "{url}: {refusal}");
        }
        for url in ["ftp://8.8.8.8/", "file:///etc/passwd", "gopher://8.8.8.8:70/", "data:text/plain,x"] {
            assert!(verdict("", url).unwrap_err().contains("use http or https"), "{url}");
        }
    }

    #[test]
    fn what_is_allowed_may_be_called_besides() {
        for (rules, url, is_allowed) in [
            ("127.0.0.1", "http://127.0.0.1:1/", true),
            ("127.0.0.1", "http://127.0.0.2/", false),
            (" 10.0.0.0/8 , 127.0.0.1:8001,", "http://10.9.8.7/", true),
            ("10.0.0.0/8, 127.0.0.1:8001", "http://127.0.0.1:8001/", true),
            ("10.0.0.0/8, 127.0.0.1:8001", "http://127.0.0.1:8002/", false),
            ("10.0.0.0/8:443", "https://10.0.0.1/", true),
            ("10.0.0.0/8:443", "http://10.0.0.1/", false),
            ("::1", "http://[::1]:9/", true),
            ("[::1]", "http://[::1]:9/", true),
            ("[::1]:9", "http://[::1]:9/", true),
            ("[::1]:9", "http://[::1]:8/", false),
            ("[fd00::/8]:443", "https://[fd12::1]/", true),
            ("0.0.0.0/0", "http://[::1]/", false),
            ("127.0.0.0/8", "http://[::ffff:127.0.0.1]/", false),
            ("::ffff:127.0.0.1", "http://[::ffff:127.0.0.1]/", true),
        ] {
            assert_eq!(verdict(rules, url).is_ok(), is_allowed, "{rules}: {url}");
        }
    }

    #[test]
    fn hosts_are_allowed_by_name_wherever_they_lead() {
        for (rules, host, port, is_allowed) in [
            ("traces.internal", "traces.internal", 80, true),
            ("Traces.Internal.", "traces.internal", 80, true),
            ("traces.internal", "TRACES.internal.", 80, true),
            ("traces.internal", "x.traces.internal", 80, false),
            ("traces.internal", "xtraces.internal", 80, false),
            ("*.internal", "a.b.internal", 80, true),
            ("*.internal", "internal", 80, false),
            ("*.internal", "notinternal", 80, false),
            ("traces.internal:16686", "traces.internal", 16686, true),
            ("traces.internal:16686", "traces.internal", 80, false),
            ("*.internal:443", "a.internal", 443, true),
            ("b\u{fc}cher.internal", "xn--bcher-kva.internal", 80, true),
            ("10.0.0.0/8", "traces.internal", 80, true),
            ("10.0.0.0/9", "traces.internal", 80, false),
        ] {
            let rules: OutboundRules = rules.parse().unwrap();
            let outcome = rules.check_address(host, "10.200.0.1".parse().unwrap(), port);
            assert_eq!(outcome.is_ok(), is_allowed, "{rules:?}: {host}:{port}");
        }
    }

    #[test]
    fn rules_that_mean_nothing_are_refused() {
        for text in [
            "10.0.0.0/33",
            "*",
            "*.",
            "a b",
            "http://x/",
            "x:0",
            "x:99999",
            "x:",
            "[::1",
            "[::1]x",
            "*.*.x",
            "u@x",
            "127.1",
        ] {
            let error = text.parse::<OutboundRules>().unwrap_err();
            assert!(error.contains(&format!("`{text}`")), "{text}: {error}");
        }
    }
}
