//! Evaluating uploaded traces while the caller waits, converting them, and checking eval sets.

mod form;
mod responses;
mod shapes;
mod stream;

use std::time::Duration;

use poem_openapi::OpenApi;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use self::form::MultipartForm;
use self::responses::{
    Answered, Converting, Evaluating, Extracted, StreamAnswer, Streaming, Validated, Validating,
};
use self::shapes::{ConvertForm, EvaluateForm, EvaluateRequest, ValidateForm};
use self::stream::{ProgressReporter, follow};
use super::answer::{Json, OneConversion, OneValidation};
use super::body::JsonText;
use super::problem::{Failed, Problem};
use super::tags::Tag;
use crate::uploads::{Source, UploadError, UploadService, convert, validate_eval_set};

/// Evaluation of uploads.
pub(super) struct EvaluateApi {
    /// The service behind the API.
    pub(super) uploads: UploadService,
    /// Ends streams when the service stops.
    pub(super) shutdown: CancellationToken,
}

/// Longest wait of an upload for a free slot.
const PATIENCE: Duration = Duration::from_secs(10);

const FORM: &str = "/api/evaluate";
const FORM_STREAM: &str = "/api/evaluate/stream";
const JSON: &str = "/api/evaluate/json";
const JSON_STREAM: &str = "/api/evaluate/json/stream";

#[OpenApi(tag = "Tag::Evaluation")]
impl EvaluateApi {
    /// Evaluate files
    ///
    /// Evaluates uploaded traces and answers with the result, which is also stored as a run. Files that cannot be read
    /// are listed in `errors`; the others are evaluated. The evaluation stops if the client disconnects.
    #[oai(path = "/api/evaluate", method = "post", operation_id = "evaluate_form")]
    async fn evaluate_form(&self, form: MultipartForm<EvaluateForm>) -> Result<Answered, Failed<Evaluating>> {
        let MultipartForm { parts, room, .. } = form;
        Ok(self.answer(FORM, Source::Form(parts), room).await?)
    }

    /// Evaluate files and stream updates
    ///
    /// The same as `evaluate_form`, answered with server-sent events: performance and metadata of each trace before it
    /// is evaluated, each metric as soon as it is computed, and at the end the whole result or the error. An idle stream
    /// sends a comment every 15 seconds.
    #[oai(path = "/api/evaluate/stream", method = "post", operation_id = "stream_form")]
    async fn stream_form(
        &self,
        form: MultipartForm<EvaluateForm>,
    ) -> Result<StreamAnswer, Failed<Streaming>> {
        let MultipartForm { parts, room, .. } = form;
        Ok(self.stream(FORM_STREAM, Source::Form(parts), room).await?)
    }

    /// Evaluate a document
    ///
    /// Evaluates the traces in a JSON body and answers with the result, which is also stored as a run. The evaluation
    /// stops if the client disconnects.
    #[oai(path = "/api/evaluate/json", method = "post", operation_id = "evaluate_json")]
    async fn evaluate_json(&self, body: JsonText<EvaluateRequest>) -> Result<Answered, Failed<Evaluating>> {
        let JsonText { text, room, .. } = body;
        Ok(self.answer(JSON, Source::Body(text), room).await?)
    }

    /// Evaluate a document and stream updates
    ///
    /// The same as `evaluate_json`, answered with server-sent events as `stream_form` is.
    #[oai(path = "/api/evaluate/json/stream", method = "post", operation_id = "stream_json")]
    async fn stream_json(&self, body: JsonText<EvaluateRequest>) -> Result<StreamAnswer, Failed<Streaming>> {
        let JsonText { text, room, .. } = body;
        Ok(self.stream(JSON_STREAM, Source::Body(text), room).await?)
    }

    /// Convert traces
    ///
    /// Extracts the conversations from traces, as an evaluation would. Nothing is stored.
    #[oai(path = "/api/convert", method = "post", operation_id = "convert_traces")]
    async fn convert(&self, form: MultipartForm<ConvertForm>) -> Result<Extracted, Failed<Converting>> {
        let MultipartForm { parts, room, .. } = form;
        let conversion = self.work(room, move || convert(parts)).await?;
        Ok(Extracted::Conversations(Json::encode(&OneConversion::from(&conversion))?))
    }

    /// Check an eval set
    ///
    /// Checks whether a golden eval set can be used, and lists its faults with their places.
    #[oai(path = "/api/validate/eval-set", method = "post", operation_id = "validate_evalset")]
    async fn validate(&self, form: MultipartForm<ValidateForm>) -> Result<Validated, Failed<Validating>> {
        let MultipartForm { parts, room, .. } = form;
        let validated = self.work(room, move || validate_eval_set(parts)).await?;
        Ok(Validated::Outcome(Json::encode(&OneValidation::from(validated))?))
    }
}

impl EvaluateApi {
    /// Evaluates and answers with the result.
    async fn answer(
        &self,
        endpoint: &str,
        source: Source,
        room: OwnedSemaphorePermit,
    ) -> Result<Answered, Problem> {
        let slot = self.slot().await?;
        let evaluating = self.uploads.start(source, endpoint, (), (slot, room));
        let evaluated = evaluating.finish().await.ok_or_else(Problem::stopping)??;
        Ok(Answered::Report(Json::encode(&evaluated.into())?))
    }

    /// Evaluates and answers with a stream of updates.
    async fn stream(
        &self,
        endpoint: &str,
        source: Source,
        room: OwnedSemaphorePermit,
    ) -> Result<StreamAnswer, Problem> {
        let slot = self.slot().await?;
        let (reporter, events) = ProgressReporter::new();
        let evaluating = self.uploads.start(source, endpoint, reporter, (slot, room));
        Ok(StreamAnswer::Events(follow(evaluating, events, self.shutdown.clone())))
    }

    /// Runs work whose duration depends on the size of the upload, on a thread for blocking work.
    async fn work<T: Send + 'static>(
        &self,
        room: OwnedSemaphorePermit,
        work: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
    ) -> Result<T, Problem> {
        let slot = self.slot().await?;
        let working = tokio::task::spawn_blocking(move || {
            let _held = (slot, room);
            work()
        });
        Ok(working.await.map_err(Problem::internal)??)
    }

    async fn slot(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let text = "too many uploads are being evaluated; try again later";
        self.uploads.slot(PATIENCE).await.ok_or_else(|| Problem::unavailable(text, anyhow::anyhow!(text)))
    }
}
