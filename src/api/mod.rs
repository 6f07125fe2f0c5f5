//! The HTTP API: durable runs, and evaluations that their caller waits for.
//!
//! A handler converts, calls one function of [`RunService`] or [`UploadService`], and converts back. Bodies of answers are
//! in `answer`; `params` extracts parameters, `values` and `cursor` have their types, and `body` reads JSON bodies. Every
//! failure becomes a `problem`. `edge` wraps everything and asks `access` whether to admit a request. The OpenAPI document
//! is generated from these types by `document`.

pub mod access;
mod answer;
mod body;
mod corrections;
mod credentials;
mod cursor;
mod deliveries;
mod document;
mod edge;
mod evaluate;
mod event_stream;
mod events;
mod examples;
mod health;
mod offer;
mod operations;
mod params;
mod problem;
mod resources;
mod responses;
mod runs;
mod sinks;
mod submission;
mod tags;
mod values;

use std::sync::Arc;

use poem::endpoint::make_sync;
use poem::web::Html;
use poem::{Endpoint, EndpointExt, Response, Route, get};
use tokio_util::sync::CancellationToken;

pub use answer::ApiKeys;
pub use document::openapi_document;

use self::access::{AccessSettings, Guard};
use self::body::BodyLimit;
use self::deliveries::DeliveriesApi;
use self::edge::Edge;
use self::evaluate::EvaluateApi;
use self::events::EventsApi;
use self::health::HealthApi;
use self::offer::OfferApi;
use self::operations::Operations;
use self::resources::Api;
use self::runs::RunsApi;

use crate::evaluators::CodePolicy;
use crate::outbox::OutboxService;
use crate::runs::RunService;
use crate::spec::SubmissionRules;
use crate::uploads::{FinishedRuns, UploadRules, UploadService};

/// Settings of the API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Largest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// The rules for submissions.
    pub rules: SubmissionRules,
    /// The rules of access control.
    pub access: AccessSettings,
    /// Which code evaluators uploads may use.
    pub code: CodePolicy,
    /// Largest number of uploads that are evaluated at a time.
    pub max_evaluations: usize,
    /// Which API keys for judge models there are.
    pub api_keys: ApiKeys,
}

impl ApiSettings {
    /// The default limit of a body: room for large inline traces.
    pub const DEFAULT_MAX_BODY_BYTES: usize = 64 << 20;

    /// The default number of evaluations at a time: as many as there is memory for bodies of the largest size.
    pub const DEFAULT_MAX_EVALUATIONS: usize = 4;
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            max_body_bytes: Self::DEFAULT_MAX_BODY_BYTES,
            rules: SubmissionRules::default(),
            access: AccessSettings::default(),
            code: CodePolicy::Refused,
            max_evaluations: Self::DEFAULT_MAX_EVALUATIONS,
            api_keys: ApiKeys::default(),
        }
    }
}

/// The services behind the API.
#[derive(Clone)]
pub struct Services {
    /// The runs.
    pub runs: RunService,
    /// Their messages to sinks.
    pub outbox: OutboxService,
    /// Stores evaluated uploads as runs.
    pub finished: Arc<dyn FinishedRuns>,
}

/// The whole HTTP service: the API, its document, and Swagger UI. Streams and waiting requests end with `shutdown`.
pub fn app(
    services: Services,
    settings: ApiSettings,
    shutdown: CancellationToken,
) -> impl Endpoint<Output = Response> + 'static {
    let uploads = UploadRules {
        code: settings.code,
        credentials: settings.rules.credentials.clone(),
        deadline: settings.rules.default_deadline,
    };
    let Services { runs: service, outbox, finished } = services;
    let uploads = UploadService::new(finished, uploads, settings.max_evaluations);
    let evaluate = EvaluateApi { uploads, shutdown: shutdown.clone() };
    let offer = OfferApi { keys: settings.api_keys };
    let runs = RunsApi { service: service.clone(), rules: settings.rules, shutdown: shutdown.clone() };
    let deliveries = DeliveriesApi { service: outbox };
    let events = EventsApi { service: service.clone(), shutdown: shutdown.clone() };
    let health = HealthApi { service, shutdown };
    let api: Api = (runs, evaluate, offer, deliveries, events, health);
    let (document, page) = (openapi_document(), document::swagger_ui());
    let document =
        make_sync(move |_| Response::builder().content_type("application/json").body(document.clone()));
    let routes = Route::new()
        .at("/openapi.json", get(document))
        .at("/docs", get(make_sync(move |_| Html(page.clone()))))
        .nest("/", document::service(api))
        .data(BodyLimit::new(settings.max_body_bytes));
    let operations = Arc::new(Operations::new(resources::methods(), &["/openapi.json", "/docs"]));
    Edge::new(routes, Guard::new(settings.access, operations.clone()), operations)
}
