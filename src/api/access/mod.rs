//! Who may do what: decided from the head of a request, before anything of its body is read.
//!
//! Clients show a bearer token (`token`, `keyring`), which has scopes (`scope`). Browsers also act for pages that their
//! user only happens to look at; `site` keeps those out, whether there are tokens or not. A server without tokens asks
//! nobody who they are: `config` lets that listen on this machine only.

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

/// Who is let in.
#[derive(Debug, Clone, Default)]
pub struct AccessSettings {
    /// Whom the service knows; nobody is asked when there are none.
    pub tokens: Tokens,
    /// Pages of other origins that may use the API from a browser.
    pub origins: Origins,
    /// Names under which the service may be addressed; any when left out.
    pub hosts: Option<Hosts>,
}

/// The name of the token that a request has shown, if it had to show one.
pub(super) type Caller = Option<Arc<str>>;

/// Lets requests in, or not.
pub(super) struct Guard {
    settings: AccessSettings,
    operations: Arc<Operations>,
}

impl Guard {
    pub(super) fn new(settings: AccessSettings, operations: Arc<Operations>) -> Self {
        Self { settings, operations }
    }

    /// Decides about a request by its head alone.
    ///
    /// # Errors
    /// What it is refused with: a problem, or that there is no such operation.
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

    /// Refuses what a browser sends for pages of others.
    fn check_site(&self, request: &Request) -> Result<(), Problem> {
        if let Some(hosts) = &self.settings.hosts {
            site::check_host(request, hosts)?;
        }
        // Without tokens even reading is a matter of who asks.
        let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match is_reading && self.settings.tokens.are_required() {
            true => Ok(()),
            false => site::check_origin(request, &self.settings.origins),
        }
    }

    /// The token that a request shows; none if nobody is asked.
    async fn identify(&self, request: &Request) -> Result<Option<Token>, Problem> {
        if !self.settings.tokens.are_required() {
            return Ok(None);
        }
        let shown = bearer(request)?;
        let known = self.settings.tokens.find(shown).await;
        let refusal =
            || unauthenticated("Bearer error=\"invalid_token\"", "the token is not one that is known");
        known.ok_or_else(refusal).map(Some)
    }

    /// Checks that a token suffices for an operation. Only `admin` gets through to what is not described.
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

    /// The answer to a browser that asks whether a page may send a request; `None` for other requests.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn preflight(&self, request: &Request) -> Result<Option<Response>, Problem> {
        site::preflight(request, &self.settings.origins)
    }

    /// The origin of the page behind a request, if it is one of the others that may read answers.
    pub(super) fn reader(&self, request: &Request) -> Option<HeaderValue> {
        site::reader(request, &self.settings.origins)
    }

    /// Adds to an answer who may read it.
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
    let shown = value.to_str().ok().and_then(|value| value.split_once(' '));
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer") && headers.next().is_none());
    let refusal = || {
        unauthenticated(
            "Bearer error=\"invalid_request\"",
            "the header `Authorization` does not read `Bearer TOKEN`",
        )
    };
    shown.map(|(_, token)| token.trim()).filter(|token| !token.is_empty()).ok_or_else(refusal)
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

/// Says who was not let in and why, without what they showed.
fn log_refusal(request: &Request, problem: &Problem) {
    let (method, path) = (request.method(), request.uri().path());
    let peer = request.remote_addr().as_socket_addr().map(ToString::to_string).unwrap_or_default();
    warn!(http.method = %method, http.path = path, client = peer, "refused {method} {path} from {peer}: {problem}");
}
