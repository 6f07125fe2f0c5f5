//! What the service can do and how it is set up.

use poem_openapi::{ApiResponse, OpenApi};

use super::answer::{ApiKeys, Json, MetricList, OneConfig};
use super::problem::{Failed, Failures};
use super::tags::Tag;
use crate::metrics::catalog;

/// What can be asked about the service.
pub(super) struct OfferApi {
    /// Which keys it has.
    pub(super) keys: ApiKeys,
}

/// The metrics.
#[derive(ApiResponse)]
enum MetricsListed {
    /// All metrics, those included that cannot be computed here.
    #[oai(status = 200)]
    Metrics(Json<MetricList>),
}

/// The settings.
#[derive(ApiResponse)]
enum Configured {
    /// How the service is set up.
    #[oai(status = 200)]
    Config(Json<OneConfig>),
}

struct Asking;

impl Failures for Asking {
    const STATUSES: &'static [u16] = &[];
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
    /// Says which keys of judge models the service has, never the keys.
    #[oai(path = "/api/config", method = "get", operation_id = "get_config")]
    async fn config(&self) -> Result<Configured, Failed<Asking>> {
        Ok(Configured::Config(Json::encode(&OneConfig::from(self.keys))?))
    }
}
