//! The HTTP API of durable runs.
//!
//! A handler converts, calls one function of [`RunService`], and converts back. What goes out is in `answer`, what
//! comes in is in `params` (how parameters are read), `values` (what they mean), `cursor` and `body`. Every failure
//! becomes a `problem`; `edge` is around everything and lets in whom `access` admits. The OpenAPI document is made from
//! these types.

pub mod access;
mod answer;
mod body;
mod cursor;
mod document;
mod edge;
mod event_stream;
mod events;
mod health;
mod operations;
mod params;
mod problem;
mod responses;
mod runs;
mod submission;
mod values;

use std::sync::Arc;

use poem::endpoint::make_sync;
use poem::web::Html;
use poem::{Endpoint, EndpointExt, Response, Route, get};
use tokio_util::sync::CancellationToken;

pub use document::openapi_document;

use self::access::{AccessSettings, Guard};
use self::body::BodyLimit;
use self::edge::Edge;
use self::events::EventsApi;
use self::health::HealthApi;
use self::operations::Operations;
use self::runs::RunsApi;

use crate::runs::service::RunService;
use crate::runs::submission::SubmissionRules;

/// Every operation.
type Api = (RunsApi, EventsApi, HealthApi);

/// What can be set about the API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// How many bytes the body of a request may have.
    pub max_body_bytes: usize,
    /// What may be submitted.
    pub rules: SubmissionRules,
    /// Who is let in.
    pub access: AccessSettings,
}

impl ApiSettings {
    /// Body limit unless another is set: room for large inline traces.
    pub const DEFAULT_MAX_BODY_BYTES: usize = 64 << 20;
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            max_body_bytes: Self::DEFAULT_MAX_BODY_BYTES,
            rules: SubmissionRules::default(),
            access: AccessSettings::default(),
        }
    }
}

/// The whole HTTP service: the API, its document, and Swagger UI. Streams and waiting requests end with `shutdown`.
pub fn app(
    service: RunService,
    settings: ApiSettings,
    shutdown: CancellationToken,
) -> impl Endpoint<Output = Response> + 'static {
    let runs = RunsApi { service: service.clone(), rules: settings.rules, shutdown: shutdown.clone() };
    let events = EventsApi { service: service.clone(), shutdown: shutdown.clone() };
    let health = HealthApi { service, shutdown };
    let api: Api = (runs, events, health);
    let (document, page) = (openapi_document(), document::swagger_ui());
    let document =
        make_sync(move |_| Response::builder().content_type("application/json").body(document.clone()));
    let routes = Route::new()
        .at("/openapi.json", get(document))
        .at("/docs", get(make_sync(move |_| Html(page.clone()))))
        .nest("/", document::service(api))
        .data(BodyLimit::new(settings.max_body_bytes));
    let operations = Arc::new(Operations::new(&["/openapi.json", "/docs"]));
    Edge::new(routes, Guard::new(settings.access, operations.clone()), operations)
}
