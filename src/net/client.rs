//! Makes calls that obey the rules.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, Response, StatusCode, Url};
use tracing::warn;

use super::call::{Answer, Call, CallError};
use super::rules::{OutboundRules, Refusal};

/// Our `User-Agent`.
const USER_AGENT: &str = concat!("agentevals/", env!("CARGO_PKG_VERSION"));

/// Longest wait for a connection, so that the next address of a host is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections that are kept for each host.
const IDLE_PER_HOST: usize = 4;

/// Makes calls to the addresses that the rules allow. Clones share their connections.
#[derive(Clone)]
pub struct Outbound {
    shared: Arc<Clients>,
}

struct Clients {
    rules: Arc<OutboundRules>,
    /// A client for each port that a rule is limited to, because a resolver is not told the port.
    by_port: HashMap<u16, Client>,
    /// The client for every other port.
    others: Client,
}

impl Outbound {
    /// Prepares the clients, without connecting.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(rules: OutboundRules) -> anyhow::Result<Self> {
        // Fails if the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (rules, trusted) = (Arc::new(rules), trusted_authorities());
        let others = client(&rules, 0, &trusted)?;
        let by_port = rules.ports().map(|port| Ok((port, client(&rules, port, &trusted)?)));
        let by_port = by_port.collect::<anyhow::Result<_>>()?;
        Ok(Self { shared: Arc::new(Clients { rules, by_port, others }) })
    }

    /// The rules that calls obey.
    pub fn rules(&self) -> &OutboundRules {
        &self.shared.rules
    }

    /// Sends a request and reads the whole answer, of any status. Dropping the future ends the exchange.
    ///
    /// # Errors
    /// The rules forbid the address, or there is no complete answer within the limits.
    pub async fn call(&self, mut call: Call) -> Result<Answer, CallError> {
        let (origin, limit) = (origin(&call.url), call.timeout);
        move_user_to_header(&mut call);
        let exchange = tokio::time::timeout(limit, self.exchange(call)).await;
        exchange.unwrap_or(Err(CallError::TimedOut { origin, limit }))
    }

    async fn exchange(&self, mut call: Call) -> Result<Answer, CallError> {
        let mut followed = 0;
        loop {
            let response = self.send(&call).await?;
            let location = location(&response).filter(|_| call.body.is_none() && call.max_redirects > 0);
            let Some(location) = location else {
                return read_answer(response, &call).await;
            };
            if followed == call.max_redirects {
                let reason = format!("again after {followed} redirects, the limit");
                return Err(CallError::BadRedirect { origin: origin(&call.url), reason });
            }
            followed += 1;
            redirect(&mut call, &location)?;
        }
    }

    /// Sends one request; returns when the headers have arrived.
    async fn send(&self, call: &Call) -> Result<Response, CallError> {
        let Clients { rules, by_port, others } = &*self.shared;
        rules.check(&call.url)?;
        let port = call.url.port_or_known_default().unwrap_or_default();
        let client = by_port.get(&port).unwrap_or(others);
        let request = client.request(call.method.clone(), call.url.clone()).headers(call.headers.clone());
        let request = match &call.body {
            Some(body) => request.body(body.clone()),
            None => request,
        };
        request.send().await.map_err(|error| failed(&call.url, error))
    }
}

/// The certificate authorities that this machine trusts. A bare container may have none; then only http can be called.
fn trusted_authorities() -> Vec<Certificate> {
    let native = rustls_native_certs::load_native_certs();
    let trusted: Vec<_> = native.certs.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    if trusted.is_empty() {
        warn!("this machine trusts no certificate authority: no https server can be called; install some");
    }
    trusted
}

/// A client that connects only to addresses that the rules allow at `port`; 0 stands for ports that no rule names.
fn client(rules: &Arc<OutboundRules>, port: u16, trusted: &[Certificate]) -> anyhow::Result<Client> {
    Client::builder()
        .tls_certs_only(trusted.iter().cloned())
        .user_agent(USER_AGENT)
        .dns_resolver(Arc::new(GuardedResolver { rules: rules.clone(), port }))
        // Redirects are followed in `exchange`, which checks each target.
        .redirect(reqwest::redirect::Policy::none())
        // A proxy from the environment would resolve names itself, past our resolver.
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .build()
        .context("preparing to call other servers")
}

/// Resolves names as the system does, and leaves out addresses that the rules forbid.
struct GuardedResolver {
    rules: Arc<OutboundRules>,
    port: u16,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, port) = (self.rules.clone(), self.port);
        Box::pin(async move {
            let host = name.as_str();
            let (mut allowed, mut refusal) = (Vec::new(), None);
            for address in tokio::net::lookup_host((host, 0)).await? {
                match rules.check_address(host, address.ip(), port) {
                    Ok(()) => allowed.push(address),
                    Err(refused) => refusal = refusal.or(Some(refused)),
                }
            }
            match refusal.filter(|_| allowed.is_empty()) {
                Some(refused) => Err(refused.into()),
                None => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// Moves user and password from the URL to a header, so that no message that shows the URL shows them.
fn move_user_to_header(call: &mut Call) {
    let url = &mut call.url;
    if url.username().is_empty() && url.password().is_none() {
        return;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    // Both fail only for URLs that cannot have a user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if let Ok(mut value) = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))) {
        value.set_sensitive(true);
        call.headers.entry(AUTHORIZATION).or_insert(value);
    }
}

/// The target of an answer that redirects.
fn location(response: &Response) -> Option<HeaderValue> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    response.headers().get(LOCATION).filter(|_| redirects.contains(&response.status())).cloned()
}

/// Changes a call so that it goes to the target of a redirect.
fn redirect(call: &mut Call, location: &HeaderValue) -> Result<(), CallError> {
    let from = origin(&call.url);
    let bad = |reason: &str| CallError::BadRedirect { origin: from.clone(), reason: reason.to_owned() };
    let target = std::str::from_utf8(location.as_bytes()).ok();
    let target =
        target.and_then(|target| call.url.join(target).ok()).ok_or_else(|| bad("to what is no URL"))?;
    if !target.username().is_empty() || target.password().is_some() {
        return Err(bad("to a URL with a user in it, which is not followed"));
    }
    if call.url.scheme() == "https" && target.scheme() != "https" {
        return Err(bad("from https to less, which is not followed"));
    }
    if target.origin() != call.url.origin() {
        call.headers =
            call.headers.remove(ACCEPT).map(|accept| (ACCEPT, accept)).into_iter().collect::<HeaderMap>();
    }
    call.url = target;
    Ok(())
}

/// Reads the body. A success with a larger body than the limit is an error. Of an answer that is not a success the
/// beginning is enough, since its status says what to do.
async fn read_answer(mut response: Response, call: &Call) -> Result<Answer, CallError> {
    let (limit_bytes, status) = (call.max_answer_bytes, response.status());
    let too_large = || CallError::TooLarge { origin: origin(&call.url), limit_bytes, status };
    let declared = response.content_length().unwrap_or_default();
    if declared > limit_bytes as u64 && status.is_success() {
        return Err(too_large());
    }
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::with_capacity(usize::try_from(declared).unwrap_or_default().min(limit_bytes));
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&call.url, error))? {
        let room = limit_bytes - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        match chunk.len() > room {
            true if status.is_success() => return Err(too_large()),
            true => break,
            false => {}
        }
    }
    Ok(Answer { status, headers, body })
}

/// Finds the cause inside reqwest's error: a refusal by our resolver, a timeout, or the innermost error.
fn failed(url: &Url, error: reqwest::Error) -> CallError {
    let error = error.without_url();
    let mut cause: &(dyn Error + 'static) = &error;
    loop {
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return CallError::Refused(refusal.clone());
        }
        match cause.source() {
            Some(inner) => cause = inner,
            None => break,
        }
    }
    // The client has a timeout for connecting only; `call` limits the whole exchange.
    let reason = match error.is_timeout() {
        true => format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()),
        false => cause.to_string(),
    };
    CallError::Unreachable { origin: origin(url), reason }
}

/// Scheme, host and port: the parts of a URL that are never secret.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
