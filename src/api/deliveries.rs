//! The state of messages to sinks, and sending them again.

use poem::http::StatusCode;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions, Object, OpenApi};

use super::answer::{DeliveryAnswer, DeliveryPage, Json, Nullable, Redelivered};
use super::body::{check_media_type, faults, too_large};
use super::cursor::{self, PageCursor};
use super::params::{Query, RunPath};
use super::problem::{Failed, Problem};
use super::responses::{DeliveriesListed, Reading, Redelivering, Requested};
use super::runs::found;
use super::tags::Tag;
use super::values::PageSize;
use crate::json;
use crate::json::checked::{Cursor, Faults, Spelling};
use crate::outbox::{InvalidMessageId, MessageId, OutboxService};
use crate::spec::SubmissionError;

/// The resource `deliveries` of a run.
pub(super) struct DeliveriesApi {
    /// The service behind the API.
    pub(super) service: OutboxService,
}

#[OpenApi(tag = "Tag::Deliveries")]
impl DeliveriesApi {
    /// List the messages of a run to its sinks
    ///
    /// Lists messages by event, then by sink. Each sink gets its messages in this order: one is sent when the one before is
    /// delivered or given up.
    #[oai(path = "/api/runs/:runId/deliveries", method = "get", operation_id = "list_deliveries")]
    async fn list(
        &self,
        /// Id of the run.
        #[oai(name = "runId")]
        run_id: RunPath,
        /// `next` of the previous page.
        cursor: Query<Option<PageCursor<(u32, u16)>>>,
        /// Largest number of messages in the answer.
        limit: Query<Option<PageSize<1000>>>,
    ) -> Result<DeliveriesListed, Failed<Reading>> {
        let size = PageSize::of(limit.0);
        let after = cursor.0.map(|PageCursor(place)| place);
        let deliveries = found(run_id, self.service.messages(run_id.0, after, size + 1).await)?;
        let (deliveries, next) =
            cursor::page(deliveries, size, |delivery| (delivery.id.event, delivery.id.sink));
        let data = deliveries.into_iter().map(DeliveryAnswer::from).collect();
        Ok(DeliveriesListed::Page(Json::encode(&DeliveryPage { data, next: Nullable(next) })?))
    }

    /// Send messages of a run to its sinks again
    ///
    /// Queues all undeliverable messages, or those named, even if they are delivered. Their attempts are counted anew.
    #[oai(path = "/api/runs/:runId/redeliver", method = "post", operation_id = "redeliver_run")]
    async fn redeliver(
        &self,
        /// Id of the run.
        #[oai(name = "runId")]
        run_id: RunPath,
        body: RedeliveryBody,
    ) -> Result<Requested, Failed<Redelivering>> {
        let ids = body.ids(run_id)?;
        let queued = found(run_id, self.service.redeliver(run_id.0, ids.as_deref()).await)?;
        let data = queued.into_iter().map(DeliveryAnswer::from).collect();
        Ok(Requested::Messages(Json::encode(&Redelivered { data })?))
    }
}

/// The messages to send again.
#[derive(Debug, Object)]
#[oai(rename = "Redelivery")]
struct Redelivery {
    /// Ids of the messages; all undeliverable ones if left out.
    #[oai(nullable, validator(max_items = 1000))]
    ids: Option<Vec<String>>,
}

/// Most messages that a request can name.
const MAX_IDS: usize = 1000;

/// Largest body: more than `MAX_IDS` ids need.
const MAX_BODY_BYTES: usize = 128 << 10;

/// The body of a redelivery, which may be left out.
#[derive(Debug)]
struct RedeliveryBody(String);

impl<'a> ApiExtractor<'a> for RedeliveryBody {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        Redelivery::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = MetaMediaType { content_type: "application/json", schema: Redelivery::schema_ref() };
        Some(MetaRequest { description: None, content: vec![content], required: false })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = body.take()?.into_bytes_limit(MAX_BODY_BYTES).await.map_err(|error| match error {
            poem::error::ReadBodyError::PayloadTooLarge => too_large(MAX_BODY_BYTES),
            error => Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", error.to_string()),
        })?;
        if !bytes.is_empty() {
            check_media_type(request.content_type())?;
        }
        let text = String::from_utf8(bytes.into());
        let not_text = |_| Problem::new(StatusCode::BAD_REQUEST, "malformed_json", "the body is not UTF-8");
        Ok(Self(text.map_err(not_text)?))
    }
}

impl RedeliveryBody {
    /// Parses the ids of the messages; `None` if the body names none.
    fn ids(&self, RunPath(run): RunPath) -> Result<Option<Vec<MessageId>>, Problem> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let document = json::parse(&self.0).map_err(SubmissionError::Syntax)?;
        let found = Faults::default();
        let id = |id: &Cursor<'_, '_>| {
            let text = id.string()?;
            let parsed = text.parse().ok().filter(|id: &MessageId| id.run == run);
            if parsed.is_none() {
                id.fault(format!("`{text}` {InvalidMessageId}"));
            }
            parsed
        };
        let root = Cursor::root(&document, &found);
        let ids = root.object(Spelling::Snake).and_then(|object| {
            let ids = object.optional("ids", |ids| {
                let named = ids.list(id)?;
                if named.len() > MAX_IDS {
                    ids.fault(format!("{} ids are more than {MAX_IDS}", named.len()));
                }
                Some(named)
            });
            object.refuse_unknown();
            ids
        });
        match found.into_vec() {
            faulty if faulty.is_empty() => Ok(ids),
            faulty => Err(Problem::invalid("invalid_redelivery", faults(faulty))),
        }
    }
}
