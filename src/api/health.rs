//! Probes: whether the process is alive, and whether it can work.

use std::time::Duration;

use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::answer::Json;
use super::problem::{Failed, Problem, failures};
use super::tags::Tag;
use crate::runs::RunService;

/// Longest wait for an answer of storage; afterwards the service counts as not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// The probes.
pub(super) struct HealthApi {
    /// The service behind the API.
    pub(super) service: RunService,
    /// Makes the service not ready while it stops.
    pub(super) shutdown: CancellationToken,
}

/// State of the service.
#[derive(Debug, Serialize, Object)]
struct Health {
    /// Always `ok`; failures are problem documents.
    status: String,
    /// Version of the program.
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
    /// The check succeeded.
    #[oai(status = 200)]
    Ok(Json<Health>),
}

/// State of the service, in the form of the reference implementation.
#[derive(Debug, Serialize, Object)]
struct HealthEnvelope {
    /// The state.
    data: Health,
}

/// A probe that succeeded, in the form of the reference implementation.
#[derive(ApiResponse)]
enum HealthAnswered {
    /// The check succeeded.
    #[oai(status = 200)]
    Ok(Json<HealthEnvelope>),
}

failures! {
    Probing: [], "Failures of a probe.";
}

#[OpenApi(tag = "Tag::Health")]
impl HealthApi {
    /// Check whether the process is alive
    ///
    /// Answers 200 as long as the process can answer at all, even if storage is unavailable.
    #[oai(path = "/livez", method = "get", operation_id = "get_liveness")]
    async fn livez(&self) -> Result<Healthy, Failed<Probing>> {
        Ok(Healthy::Ok(Json::encode(&Health::ok())?))
    }

    /// Check whether the service can work
    ///
    /// Answers 200 if storage answers in time and the service is not stopping.
    #[oai(path = "/readyz", method = "get", operation_id = "get_readiness")]
    async fn readyz(&self) -> Result<Healthy, Failed<Probing>> {
        self.check().await?;
        Ok(Healthy::Ok(Json::encode(&Health::ok())?))
    }

    /// Check whether the service can work, for clients of the reference implementation
    ///
    /// Answers 200 if runs can be stored: storage answers in time, with the schema that this version needs.
    #[oai(path = "/api/health", method = "get", operation_id = "get_health")]
    async fn health(&self) -> Result<HealthAnswered, Failed<Probing>> {
        self.check().await?;
        Ok(HealthAnswered::Ok(Json::encode(&HealthEnvelope { data: Health::ok() })?))
    }
}

impl HealthApi {
    /// Checks whether the service can work.
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
