//! Forms with files (`multipart/form-data`): reading them within limits, and describing them.

use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::TryStreamExt;
use poem::error::ParseMultipartError;
use poem::http::StatusCode;
use poem::web::Multipart;
use poem::{Body, FromRequest, Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use tokio::sync::OwnedSemaphorePermit;

use crate::api::answer::Described;
use crate::api::body::{BodyLimit, too_large, unsupported};
use crate::api::problem::Problem;
use crate::uploads::Part;

/// Most parts of a form; traces in more files fit into fewer as JSON lines.
const MAX_PARTS: usize = 1000;

/// The parts of a form, for the OpenAPI document.
pub(super) trait FormShape: Send + Sync + 'static {
    /// Name of the schema.
    const NAME: &'static str;
    /// Description of the schema.
    const ABOUT: &'static str;
    /// The parts.
    const PARTS: &'static [PartShape];
}

/// A part of a form, for the OpenAPI document.
pub(super) struct PartShape {
    /// Name of the part.
    pub(super) name: &'static str,
    /// Description of the part.
    pub(super) about: &'static str,
    /// Type of its content.
    pub(super) content: Content,
    /// Whether it must be present.
    pub(super) is_required: bool,
}

/// Type of the content of a part.
pub(super) enum Content {
    /// One or more files.
    Files,
    /// A file.
    File,
    /// Text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl PartShape {
    fn schema(&self) -> MetaSchemaRef {
        let file = || MetaSchema::new_with_format("string", "binary");
        let schema = match self.content {
            Content::Files => {
                let items = Some(Box::new(MetaSchemaRef::Inline(Box::new(file()))));
                MetaSchema { items, min_items: Some(1), ..MetaSchema::new("array") }
            }
            Content::File => file(),
            Content::Text => MetaSchema::new("string"),
            Content::Choice(words) => MetaSchema {
                enum_items: words.iter().map(|word| (*word).into()).collect(),
                ..MetaSchema::new("string")
            },
        };
        MetaSchemaRef::Inline(Box::new(MetaSchema { description: Some(self.about), ..schema }))
    }
}

/// The parts of a form that the OpenAPI document describes as `F`.
#[derive(Debug)]
pub(super) struct MultipartForm<F> {
    pub(super) parts: Vec<Part>,
    /// Its share of the memory for bodies; keep it as long as the parts.
    pub(super) room: OwnedSemaphorePermit,
    described: Described<F>,
}

impl<'a, F: FormShape> ApiExtractor<'a> for MultipartForm<F> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let required = F::PARTS.iter().filter(|part| part.is_required);
        let schema = MetaSchema {
            description: Some(F::ABOUT),
            properties: F::PARTS.iter().map(|part| (part.name, part.schema())).collect(),
            required: required.map(|part| part.name).collect(),
            ..MetaSchema::new("object")
        };
        registry.schemas.insert(F::NAME.to_owned(), schema);
    }

    fn request_meta() -> Option<MetaRequest> {
        let schema = MetaSchemaRef::Reference(F::NAME.to_owned());
        let content = MetaMediaType { content_type: "multipart/form-data", schema };
        Some(MetaRequest { description: None, content: vec![content], required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let (limit, room) = BodyLimit::admit(request).await?;
        let (body, overrun) = limited(body.take()?, limit);
        let parts = read_parts(request, body).await;
        let parts = parts.map_err(|problem| match overrun.load(Ordering::Relaxed) {
            true => too_large(limit),
            false => problem,
        })?;
        Ok(Self { parts, room, described: PhantomData })
    }
}

/// Limits a body: beyond `limit` bytes it fails, and the flag returned is set.
fn limited(body: Body, limit: usize) -> (Body, Arc<AtomicBool>) {
    let overrun = Arc::new(AtomicBool::new(false));
    let noted = overrun.clone();
    let mut left = limit;
    let counted = body.into_bytes_stream().and_then(move |bytes| {
        let fits = left.checked_sub(bytes.len());
        left = fits.unwrap_or_default();
        noted.fetch_or(fits.is_none(), Ordering::Relaxed);
        std::future::ready(fits.map(|_| bytes).ok_or_else(|| io::ErrorKind::FileTooLarge.into()))
    });
    (Body::from_bytes_stream(counted), overrun)
}

async fn read_parts(request: &Request, body: Body) -> Result<Vec<Part>, Problem> {
    let malformed = |error: ParseMultipartError| match error {
        ParseMultipartError::InvalidContentType(_) | ParseMultipartError::ContentTypeRequired => {
            unsupported(request.content_type(), "multipart/form-data")
        }
        error => Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed_form",
            format!("the form cannot be read: {error}"),
        ),
    };
    let form = <Multipart as FromRequest>::from_request(request, &mut RequestBody::new(body)).await;
    let mut form = form.map_err(|error| match error.downcast::<ParseMultipartError>() {
        Ok(error) => malformed(error),
        Err(error) => Problem::internal(anyhow::anyhow!("{error}")),
    })?;
    let mut parts = Vec::new();
    while let Some(field) = form.next_field().await.map_err(malformed)? {
        if parts.len() == MAX_PARTS {
            let detail = format!("the form has more than {MAX_PARTS} parts; put traces into fewer files");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_parts", detail));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let file_name = field.file_name().map(str::to_owned);
        parts.push(Part { name, file_name, bytes: field.bytes().await.map_err(malformed)? });
    }
    Ok(parts)
}
