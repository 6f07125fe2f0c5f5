//! All resources together: the API that is served and described.

use poem::http::Method;
use poem_openapi::OpenApi;

use super::deliveries::DeliveriesApi;
use super::evaluate::EvaluateApi;
use super::events::EventsApi;
use super::health::HealthApi;
use super::offer::OfferApi;
use super::runs::RunsApi;

/// Every operation.
pub(super) type Api = (RunsApi, EvaluateApi, OfferApi, DeliveriesApi, EventsApi, HealthApi);

/// The path of every operation with its methods; variables of a path read `{name}`.
pub(super) fn methods() -> Vec<(String, Vec<Method>)> {
    let mut methods = Vec::new();
    for path in Api::meta().into_iter().flat_map(|api| api.paths) {
        methods.push((path.path, path.operations.into_iter().map(|operation| operation.method).collect()));
    }
    methods
}
