//! Authentication and authorization, decided from the head of a request before its body is read.
//!
//! Clients send a bearer token (`token`, `keyring`), which has scopes (`scope`). Browsers also send requests for pages of
//! other sites that their user happens to visit; `site` refuses those, with and without tokens. A server without tokens
//! authenticates nobody, so `config` lets it listen on this machine only.

mod description;
mod keyring;
mod scope;
mod site;
mod token;

use std::sync::Arc;

use poem::error::{MethodNotAllowedError, NotFoundError};
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};
use tracing::warn;

pub use keyring::{Tokens, TokensError};
pub use scope::{Scope, UnknownScope};
pub use site::{Hosts, NotAnOrigin, Origins};
pub use token::{Token, is_name, mint};

pub(super) use description::describe;

use scope::{is_open, needed};

use super::operations::Operations;
use super::problem::Problem;

/// The rules by which requests are admitted.
#[derive(Debug, Clone, Default)]
pub struct AccessSettings {
    /// The valid tokens; without any, requests need none.
    pub tokens: Tokens,
    /// Pages of other origins that may use the API from a browser.
    pub origins: Origins,
    /// Host names under which the service may be addressed; `None` for any.
    pub hosts: Option<Hosts>,
}

/// The name of the token that a request was admitted by, if it needed one.
pub(super) type Caller = Option<Arc<str>>;

/// Admits requests or refuses them.
pub(super) struct Guard {
    settings: AccessSettings,
    operations: Arc<Operations>,
}

impl Guard {
    pub(super) fn new(settings: AccessSettings, operations: Arc<Operations>) -> Self {
        Self { settings, operations }
    }

    /// Admits a request or refuses it, by its head alone.
    ///
    /// # Errors
    /// The problem to answer with, or that there is no such operation.
    pub(super) async fn admit(&self, request: &Request) -> poem::Result<Caller> {
        let path = request.uri().path();
        if is_open(path) {
            return Ok(None);
        }
        let decision = match self.check_site(request) {
            Ok(()) => self.identify(request).await,
            Err(problem) => Err(problem),
        };
        let token = decision.inspect_err(|problem| log_refusal(request, problem))?;
        Ok(match token {
            Some(token) => Some(self.authorize(&token, request)?),
            None => None,
        })
    }

    /// Refuses requests that a browser sends for pages of other sites.
    fn check_site(&self, request: &Request) -> Result<(), Problem> {
        if let Some(hosts) = &self.settings.hosts {
            site::check_host(request, hosts)?;
        }
        // Reading is checked only without tokens: pages of other sites cannot send a token, but need none then.
        let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match is_reading && self.settings.tokens.are_required() {
            true => Ok(()),
            false => site::check_origin(request, &self.settings.origins),
        }
    }

    /// The token of a request; `None` if the server needs none.
    async fn identify(&self, request: &Request) -> Result<Option<Token>, Problem> {
        if !self.settings.tokens.are_required() {
            return Ok(None);
        }
        match self.settings.tokens.find(bearer(request)?).await {
            Some(token) => Ok(Some(token)),
            None => {
                Err(unauthenticated("Bearer error=\"invalid_token\"", "the token is not one that is known"))
            }
        }
    }

    /// Checks that a token has the scope of an operation. Paths that are not documented need `admin`.
    fn authorize(&self, token: &Token, request: &Request) -> poem::Result<Arc<str>> {
        let (method, path) = (request.method(), request.uri().path());
        if !self.operations.has(method, path) && !token.allows(Scope::Admin) {
            return Err(match self.operations.methods(path).is_empty() {
                true => NotFoundError.into(),
                false => MethodNotAllowedError.into(),
            });
        }
        let needed = needed(method);
        if !token.allows(needed) {
            let problem = forbidden(token, needed);
            log_refusal(request, &problem);
            return Err(problem.into());
        }
        Ok(token.name.clone())
    }

    /// The answer to a CORS preflight; `None` for other requests.
    ///
    /// # Errors
    /// The page may not send the request.
    pub(super) fn preflight(&self, request: &Request) -> Result<Option<Response>, Problem> {
        site::preflight(request, &self.settings.origins)
    }

    /// The origin of the page that sent a request, if it is among the allowed ones.
    pub(super) fn reader(&self, request: &Request) -> Option<HeaderValue> {
        site::reader(request, &self.settings.origins)
    }

    /// Adds the CORS headers to an answer.
    pub(super) fn share(&self, response: &mut Response, reader: Option<HeaderValue>) {
        site::share(response, reader);
    }
}

/// The token in the header `Authorization`.
fn bearer(request: &Request) -> Result<&str, Problem> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION).iter();
    let Some(value) = headers.next() else {
        return Err(unauthenticated(
            "Bearer",
            "a token is needed; send the header `Authorization: Bearer TOKEN`",
        ));
    };
    let is_only_one = headers.next().is_none();
    let words = value.to_str().ok().and_then(|value| value.split_once(' '));
    if let Some((scheme, token)) = words
        && is_only_one
        && scheme.eq_ignore_ascii_case("bearer")
        && !token.trim().is_empty()
    {
        return Ok(token.trim());
    }
    Err(unauthenticated(
        "Bearer error=\"invalid_request\"",
        "the header `Authorization` does not read `Bearer TOKEN`",
    ))
}

/// Challenges are those of RFC 6750.
fn unauthenticated(challenge: &str, detail: &str) -> Problem {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail);
    problem.with_header(header::WWW_AUTHENTICATE, challenge.to_owned())
}

fn forbidden(token: &Token, needed: Scope) -> Problem {
    let detail = format!("the token `{}` does not have the scope `{needed}`, which this needs", token.name);
    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"");
    Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).with_header(header::WWW_AUTHENTICATE, challenge)
}

/// Logs the address of the client and the reason, but never the token.
fn log_refusal(request: &Request, problem: &Problem) {
    let (method, path) = (request.method(), request.uri().path());
    let peer = request.remote_addr().as_socket_addr().map(ToString::to_string).unwrap_or_default();
    warn!(http.method = %method, http.path = path, client = peer, "refused {method} {path} from {peer}: {problem}");
}
