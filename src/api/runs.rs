//! Submitting, reading, cancelling, retrying and deleting runs.

use std::time::Duration;

use poem::http::StatusCode;
use poem_openapi::OpenApi;
use serde_json::value::{RawValue, to_raw_value};
use tokio_util::sync::CancellationToken;

use super::answer::{Json, Named, Nullable, OneRun, RawObject, ResultAnswer, ResultPage, RunAnswer, RunPage};
use super::body::JsonText;
use super::cursor::{self, PageCursor, RunPosition};
use super::params::{Header, Query, RunPath};
use super::problem::{Failed, Problem};
use super::responses::{
    Accepted, Cancelled, Deleted, Deleting, Fetched, Listed, Listing, Reading, Requeued, ResultsListed,
    Retrying, Submitting,
};
use super::submission::SubmissionRequest;
use super::tags::Tag;
use super::values::{IdempotencyKey, Include, Label, PageSize, Prefer, Timestamp};
use crate::ids::RunId;
use crate::json;
use crate::runs::{
    Deletion, ResultFilter, ResultStatus, Retried, Run, RunFilter, RunService, RunStatus, StoreResult,
    Submitted, Verdict,
};
use crate::spec::{Submission, SubmissionRules, TargetKind, redacted};

/// The resource `runs`.
pub(super) struct RunsApi {
    /// The service behind the API.
    pub(super) service: RunService,
    /// The rules for submissions.
    pub(super) rules: SubmissionRules,
    /// Ends waiting when the service stops.
    pub(super) shutdown: CancellationToken,
}

#[OpenApi(tag = "Tag::Runs")]
impl RunsApi {
    /// Submit a run
    ///
    /// Queues a run and answers at once; with `Prefer: wait=N`, as soon as the run is final, but after N seconds at the
    /// latest. Repeating a submission under the same `runId` or `Idempotency-Key` answers with the stored run; a
    /// different submission under it is refused with 409.
    #[oai(path = "/api/runs", method = "post", operation_id = "submit_run")]
    async fn submit(
        &self,
        body: JsonText<SubmissionRequest>,
        /// A key of 1 to 255 visible ASCII characters that makes it safe to repeat the submission.
        #[oai(name = "Idempotency-Key")]
        key: Header<Option<IdempotencyKey>>,
        /// `wait=N`: seconds to wait for the run to end; at most 60 are granted.
        #[oai(name = "Prefer")]
        prefer: Header<Option<Prefer>>,
    ) -> Result<Accepted, Failed<Submitting>> {
        let JsonText { text, room, .. } = body;
        let mut new = parse(text, self.rules.clone()).await?;
        new.idempotency_key = key.0.map(|IdempotencyKey(key)| key);
        let run = match self.service.submit(new).await? {
            Submitted::Created(run) | Submitted::Same(run) => run,
            Submitted::Conflict(run) => return Err(conflict(run).into()),
        };
        drop(room);
        let wait = prefer.0.and_then(|prefer| prefer.wait);
        let run = self.wait(run, wait).await?;
        let location = location(run.id);
        let applied = wait.map(|wait| format!("wait={}", wait.as_secs()));
        Ok(Accepted::Run(Json::encode(&OneRun::from(run))?, location, applied))
    }

    /// List runs
    ///
    /// Lists runs without their specifications, newest first. A run must have all labels given; of any other filter it
    /// must match one value.
    #[oai(path = "/api/runs", method = "get", operation_id = "list_runs")]
    #[expect(clippy::too_many_arguments, reason = "one per parameter of the query")]
    async fn list(
        &self,
        /// Only runs in this status; may be repeated.
        status: Query<Vec<Named<RunStatus>>>,
        /// Only runs with this verdict; may be repeated.
        verdict: Query<Vec<Named<Verdict>>>,
        /// Only runs with this label, as `key=value`; may be repeated, then runs must have all of them.
        label: Query<Vec<Label>>,
        /// Only runs that are compared with the eval set of this id; may be repeated.
        #[oai(name = "evalSetId")]
        eval_set_id: Query<Vec<String>>,
        /// Only runs with this agent in their summary; may be repeated.
        agent: Query<Vec<String>>,
        /// Only runs whose traces come from this kind of target; may be repeated.
        #[oai(name = "targetKind")]
        target_kind: Query<Vec<Named<TargetKind>>>,
        /// Only runs submitted at this time or later; UTC unless it has a zone.
        #[oai(name = "createdFrom")]
        created_from: Query<Option<Timestamp>>,
        /// Only runs submitted before this time; UTC unless it has a zone.
        #[oai(name = "createdBefore")]
        created_before: Query<Option<Timestamp>>,
        /// The name of `createdBefore` in the reference implementation; if both are given, the earlier time counts.
        before: Query<Option<Timestamp>>,
        /// `next` of the previous page.
        cursor: Query<Option<PageCursor<RunPosition>>>,
        /// Largest number of runs in the answer.
        limit: Query<Option<PageSize<100>>>,
    ) -> Result<Listed, Failed<Listing>> {
        let size = PageSize::of(limit.0);
        let filter = RunFilter {
            statuses: status.0.into_iter().map(|Named(status)| status).collect(),
            verdicts: verdict.0.into_iter().map(|Named(verdict)| verdict).collect(),
            labels: label.0.into_iter().map(|label| (label.key, label.value)).collect(),
            eval_set_ids: eval_set_id.0,
            agents: agent.0,
            target_kinds: target_kind.0.into_iter().map(|Named(kind)| kind).collect(),
            created_from: created_from.0.map(|Timestamp(time)| time),
            created_before: created_before.0.into_iter().chain(before.0).map(|Timestamp(time)| time).min(),
            after: cursor.0.map(|PageCursor(place)| place),
            limit: size + 1,
        };
        let runs = self.service.list(&filter).await?;
        Ok(Listed::Page(Json::encode(&page(runs, size))?))
    }

    /// Get a run
    #[oai(path = "/api/runs/:runId", method = "get", operation_id = "get_run")]
    async fn get(
        &self,
        /// Id of the run.
        #[oai(name = "runId")]
        run_id: RunPath,
        /// `spec` to include the specification.
        include: Query<Option<Include>>,
        /// `ETag` of an earlier answer; the answer is 304 if the run has not changed since.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Vec<String>>,
    ) -> Result<Fetched, Failed<Reading>> {
        let run = found(run_id, self.service.run(run_id.0).await)?;
        let spec = match include.0 {
            Some(Include::Spec) => Some(self.spec(run_id).await?),
            None => None,
        };
        let answer = Json::encode(&OneRun { data: RunAnswer::from(run).with_spec(spec) })?;
        let tag = answer.entity_tag();
        match is_known(&if_none_match.0, &tag) {
            true => Ok(Fetched::Unchanged(tag)),
            false => Ok(Fetched::Run(answer, tag)),
        }
    }

    /// List the results of a run
    #[oai(path = "/api/runs/:runId/results", method = "get", operation_id = "list_results")]
    async fn results(
        &self,
        /// Id of the run.
        #[oai(name = "runId")]
        run_id: RunPath,
        /// Only results in this status; may be repeated.
        status: Query<Vec<Named<ResultStatus>>>,
        /// Only results of the evaluator with this name; may be repeated.
        evaluator: Query<Vec<String>>,
        /// Only results compared with the eval case of this id; may be repeated. The same case of an eval set has the
        /// same id in all runs.
        #[oai(name = "evalCase")]
        eval_case: Query<Vec<String>>,
        /// `next` of the previous page.
        cursor: Query<Option<PageCursor<u32>>>,
        /// Largest number of results in the answer.
        limit: Query<Option<PageSize<1000>>>,
    ) -> Result<ResultsListed, Failed<Reading>> {
        let size = PageSize::of(limit.0);
        let filter = ResultFilter {
            statuses: status.0.into_iter().map(|Named(status)| status).collect(),
            evaluators: evaluator.0,
            eval_cases: eval_case.0,
            after: cursor.0.map(|PageCursor(place)| place),
            limit: size + 1,
        };
        let results = found(run_id, self.service.results(run_id.0, &filter).await)?;
        let (results, next) = cursor::page(results, size, |result| result.record.ordinal);
        let data = results.into_iter().map(|result| ResultAnswer::new(run_id.0, result)).collect();
        Ok(ResultsListed::Page(Json::encode(&ResultPage { data, next: Nullable(next) })?))
    }

    /// Cancel a run
    ///
    /// Cancels a queued run at once and a running one within a second or so. A finished run stays as it is, so repeating
    /// the request is safe.
    #[oai(path = "/api/runs/:runId/cancel", method = "post", operation_id = "cancel_run")]
    async fn cancel(
        &self,
        /// Id of the run.
        #[oai(name = "runId")]
        run_id: RunPath,
    ) -> Result<Cancelled, Failed<Reading>> {
        let run = found(run_id, self.service.cancel(run_id.0).await)?;
        Ok(Cancelled::Run(Json::encode(&OneRun::from(run))?))
    }

    /// Retry a run
    ///
    /// Queues a failed or cancelled run again. Runs of uploaded traces cannot be retried, since the traces were not kept.
    #[oai(path = "/api/runs/:runId/retry", method = "post", operation_id = "retry_run")]
    async fn retry(
        &self,
        /// Id of the run.
        #[oai(name = "runId")]
        run_id: RunPath,
    ) -> Result<Requeued, Failed<Retrying>> {
        match found(run_id, self.service.retry(run_id.0).await)? {
            Retried::Queued(run) => Ok(Requeued::Run(Json::encode(&OneRun::from(run))?, location(run_id.0))),
            Retried::Refused(run) => Err(not_retryable(&run).into()),
        }
    }

    /// Delete a run
    ///
    /// Deletes a finished run with its specification, results, events and messages to sinks. Cancel an unfinished run
    /// first. The id and the `Idempotency-Key` can then be used again.
    #[oai(path = "/api/runs/:runId", method = "delete", operation_id = "delete_run")]
    async fn delete(
        &self,
        /// Id of the run.
        #[oai(name = "runId")]
        run_id: RunPath,
    ) -> Result<Deleted, Failed<Deleting>> {
        match found(run_id, self.service.delete(run_id.0).await)? {
            Deletion::Done => Ok(Deleted::Gone),
            Deletion::Refused(status) => Err(not_final(status).into()),
        }
    }
}

impl RunsApi {
    /// Waits until the run is final, `patience` is over or the service stops.
    async fn wait(&self, run: Run, patience: Option<Duration>) -> Result<Run, Problem> {
        let Some(patience) = patience.filter(|_| !run.status.is_terminal()) else { return Ok(run) };
        let waiting = self.service.wait(run.id, patience);
        let waited = self.shutdown.run_until_cancelled(waiting).await;
        Ok(waited.transpose()?.flatten().unwrap_or(run))
    }

    async fn spec(&self, run: RunPath) -> Result<RawObject, Problem> {
        let spec = found(run, self.service.spec(run.0).await)?;
        let spec = redacted(&spec).map_err(Problem::internal)?;
        let strict = serde_json::from_str::<Box<RawValue>>(&spec).or_else(|_| {
            // Submissions may be Python's dialect of JSON, with `NaN` and `Infinity`; answers have null instead.
            to_raw_value(&json::parse(&spec).map_err(Problem::internal)?).map_err(Problem::internal)
        });
        strict.map(RawObject)
    }
}

/// Bodies beyond this size are parsed on a thread for blocking work; for smaller ones the switch takes longer.
const LARGE_BODY_BYTES: usize = 64 << 10;

/// Parses a submission.
async fn parse(body: String, rules: SubmissionRules) -> Result<Submission, Problem> {
    if body.len() <= LARGE_BODY_BYTES {
        return Ok(Submission::parse(&body, &rules)?);
    }
    let parsing = tokio::task::spawn_blocking(move || Submission::parse(&body, &rules));
    Ok(parsing.await.map_err(Problem::internal)??)
}

/// Turns the answer of storage about a run into a result: 404 if there is no such run.
pub(super) fn found<T>(RunPath(id): RunPath, answer: StoreResult<Option<T>>) -> Result<T, Problem> {
    answer?.ok_or_else(|| Problem::run_not_found(id))
}

fn page(runs: Vec<Run>, size: usize) -> RunPage {
    let (runs, next) = cursor::page(runs, size, |run| (run.created_at, run.id));
    RunPage { data: runs.into_iter().map(RunAnswer::from).collect(), next: Nullable(next) }
}

fn location(id: RunId) -> String {
    format!("/api/runs/{id}")
}

fn conflict(run: Run) -> Problem {
    let detail = format!("run `{}` was submitted before under this id or key, with other work", run.id);
    Problem::new(StatusCode::CONFLICT, "run_conflict", detail).with_persisted(run.into())
}

fn not_retryable(run: &Run) -> Problem {
    let status = Named(run.status).name();
    let detail = match run.target_kind {
        TargetKind::Uploaded => "the uploaded traces of the run were not kept; upload them again".to_owned(),
        _ => format!("the run is {status}; only failed and cancelled runs can be retried"),
    };
    Problem::new(StatusCode::CONFLICT, "not_retryable", detail)
}

fn not_final(status: RunStatus) -> Problem {
    let status = Named(status).name();
    let detail = format!("the run is {status}; only finished runs can be deleted, so cancel it first");
    Problem::new(StatusCode::CONFLICT, "run_not_final", detail)
}

/// Whether `tag` is among those of `If-None-Match`, by weak comparison (RFC 9110, section 13.1.2).
fn is_known(if_none_match: &[String], tag: &str) -> bool {
    let mut known = if_none_match.iter().flat_map(|line| line.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}
