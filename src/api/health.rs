//! Whether the service lives and can work, for those who operate it.

use std::time::Duration;

use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::answer::Json;
use super::problem::{Failed, Failures, Problem};
use super::tags::Tag;
use crate::runs::service::RunService;

/// How long storage may take to answer before the service counts as not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// The probes.
pub(super) struct HealthApi {
    /// What does the work.
    pub(super) service: RunService,
    /// Makes the service not ready while it stops.
    pub(super) shutdown: CancellationToken,
}

/// How the service is.
#[derive(Debug, Serialize, Object)]
struct Health {
    /// Always `ok`.
    status: String,
    /// The version of the program.
    version: String,
}

impl Health {
    fn ok() -> Self {
        Self { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// A probe that succeeded.
#[derive(ApiResponse)]
enum Healthy {
    /// All is well.
    #[oai(status = 200)]
    Ok(Json<Health>),
}

/// How the service is, in the shape of the reference.
#[derive(Debug, Serialize, Object)]
struct HealthEnvelope {
    /// How it is.
    data: Health,
}

/// A probe that succeeded, in the shape of the reference.
#[derive(ApiResponse)]
enum HealthAnswered {
    /// All is well.
    #[oai(status = 200)]
    Ok(Json<HealthEnvelope>),
}

struct Probing;

impl Failures for Probing {
    const STATUSES: &'static [u16] = &[];
}

#[OpenApi(tag = "Tag::Health")]
impl HealthApi {
    /// Check whether the process lives
    ///
    /// Answers 200 as long as the process can answer at all, whatever storage does.
    #[oai(path = "/livez", method = "get", operation_id = "get_liveness")]
    async fn livez(&self) -> Result<Healthy, Failed<Probing>> {
        Ok(Healthy::Ok(Json::encode(&Health::ok())?))
    }

    /// Check whether the service can work
    ///
    /// Answers 200 when storage answers in time and the service is not stopping.
    #[oai(path = "/readyz", method = "get", operation_id = "get_readiness")]
    async fn readyz(&self) -> Result<Healthy, Failed<Probing>> {
        self.check().await?;
        Ok(Healthy::Ok(Json::encode(&Health::ok())?))
    }

    /// The same, for clients of the reference
    ///
    /// Answers 200 only when runs can really be kept: storage answers and its schema is what the program needs.
    #[oai(path = "/api/health", method = "get", operation_id = "get_health")]
    async fn health(&self) -> Result<HealthAnswered, Failed<Probing>> {
        self.check().await?;
        Ok(HealthAnswered::Ok(Json::encode(&HealthEnvelope { data: Health::ok() })?))
    }
}

impl HealthApi {
    /// Whether the service can work.
    async fn check(&self) -> Result<(), Problem> {
        if self.shutdown.is_cancelled() {
            return Err(Problem::stopping());
        }
        tokio::time::timeout(PATIENCE, self.service.check())
            .await
            .map_err(|late| Problem::unavailable("storage does not answer; try again later", late))??;
        Ok(())
    }
}
