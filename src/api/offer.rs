//! The metrics and settings of the service.

use poem_openapi::{ApiResponse, OpenApi};

use super::answer::{ApiKeys, Json, MetricList, OneConfig};
use super::problem::{Failed, failures};
use super::tags::Tag;
use crate::metrics::catalog;

/// Operations about the service itself.
pub(super) struct OfferApi {
    /// Which API keys the service has.
    pub(super) keys: ApiKeys,
}

/// The metrics.
#[derive(ApiResponse)]
enum MetricsListed {
    /// All metrics, including those that this service cannot compute.
    #[oai(status = 200)]
    Metrics(Json<MetricList>),
}

/// The settings.
#[derive(ApiResponse)]
enum Configured {
    /// Settings of the service.
    #[oai(status = 200)]
    Config(Json<OneConfig>),
}

failures! {
    Asking: [], "Failures of asking about the service.";
}

#[OpenApi(tag = "Tag::Evaluation")]
impl OfferApi {
    /// List metrics
    #[oai(path = "/api/metrics", method = "get", operation_id = "list_metrics")]
    async fn metrics(&self) -> Result<MetricsListed, Failed<Asking>> {
        Ok(MetricsListed::Metrics(Json::encode(&catalog::descriptions().collect::<MetricList>())?))
    }

    /// Get the settings
    ///
    /// Tells for which providers of judge models the service has an API key, but never the keys.
    #[oai(path = "/api/config", method = "get", operation_id = "get_config")]
    async fn config(&self) -> Result<Configured, Failed<Asking>> {
        Ok(Configured::Config(Json::encode(&OneConfig::from(self.keys))?))
    }
}
