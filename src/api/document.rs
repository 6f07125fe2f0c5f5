//! The OpenAPI document: generated from the types, then corrected where poem-openapi falls short, with examples added.

use std::collections::HashMap;

use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{ExtraHeader, LicenseObject, OpenApi, OpenApiService};
use serde_json::Value;

use super::resources::Api;
use super::{access, corrections, examples};

const ABOUT: &str = "Scores the behaviour of AI agents from OpenTelemetry traces that already exist. Runs are \
                     queued, executed by workers, and kept.";

/// The API with its title, license and common headers.
pub(super) fn service<A: OpenApi>(api: A) -> OpenApiService<A, ()> {
    let request_id = ExtraHeader::new("X-Request-Id")
        .description("Names the request in the service's log: the caller's, if it sent one, else a new one.");
    let license = LicenseObject::new("Apache-2.0").url("https://www.apache.org/licenses/LICENSE-2.0");
    OpenApiService::new(api, "agentevals", env!("CARGO_PKG_VERSION"))
        .description(ABOUT)
        .server("/")
        .license(license)
        .extra_response_header::<String, _>(request_id)
}

/// The operations without a service behind them: enough to describe the API.
struct Description;

impl OpenApi for Description {
    fn meta() -> Vec<MetaApi> {
        Api::meta()
    }

    fn register(registry: &mut Registry) {
        Api::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

/// The OpenAPI document of the service, as indented JSON.
pub fn openapi_document() -> String {
    let generated = service(Description).spec();
    let mut document: Value = serde_json::from_str(&generated).unwrap_or_default();
    access::describe(&mut document);
    corrections::apply(&mut document);
    examples::add(&mut document);
    format!("{document:#}\n")
}

/// Swagger UI for the document, as one page that loads nothing from other servers.
pub(super) fn swagger_ui() -> String {
    let service = service(Description);
    service.swagger_ui_html().replacen(&service.spec(), openapi_document().trim_end(), 1)
}
