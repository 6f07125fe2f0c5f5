//! Extractors of parameters, which parse them, report faults, and describe them.
//!
//! They replace those of poem-openapi, which name path parameters `param0`, mark lists as required, take the first of
//! several values, and show names of Rust types in messages.

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::problem::Problem;
use crate::ids::RunId;

/// A type that a parameter's text can be parsed into.
pub(super) trait FromText: Sized + Send {
    /// The schema of the text.
    fn schema() -> MetaSchemaRef;

    /// Registers the schemas that [`schema`](Self::schema) refers to.
    fn register(_registry: &mut Registry) {}

    /// Parses the text; the error is a clause that names the fault.
    fn from_text(text: &str) -> Result<Self, String>;
}

/// A parameter that may be given at most once (`Option`) or any number of times (`Vec`).
pub(super) trait Parameter: Sized + Send {
    /// Type of a single value.
    type Item: FromText;

    /// Whether the parameter must be given.
    const IS_REQUIRED: bool;

    /// The schema of the parameter.
    fn schema() -> MetaSchemaRef;

    /// Parses the values given; the error is a clause that names the fault.
    fn from_values(values: &[String]) -> Result<Self, String>;
}

impl<T: FromText> Parameter for Option<T> {
    type Item = T;

    const IS_REQUIRED: bool = false;

    fn schema() -> MetaSchemaRef {
        T::schema()
    }

    fn from_values(values: &[String]) -> Result<Self, String> {
        match values {
            [] => Ok(None),
            [value] => T::from_text(value).map(Some),
            _ => Err("is given more than once".to_owned()),
        }
    }
}

impl<T: FromText> Parameter for Vec<T> {
    type Item = T;

    const IS_REQUIRED: bool = false;

    fn schema() -> MetaSchemaRef {
        let items = Some(Box::new(T::schema()));
        MetaSchemaRef::Inline(Box::new(MetaSchema { items, ..MetaSchema::new("array") }))
    }

    fn from_values(values: &[String]) -> Result<Self, String> {
        values.iter().map(|value| T::from_text(value)).collect()
    }
}

/// Declares an extractor of parameters in one part of a request.
macro_rules! extractor {
    ($(#[$doc:meta])* $name:ident, $place:expr, $find:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name<T>(pub(super) T);

        impl<'a, T: Parameter> ApiExtractor<'a> for $name<T> {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
            const PARAM_IS_REQUIRED: bool = T::IS_REQUIRED;

            type ParamType = T;
            type ParamRawType = T;

            fn register(registry: &mut Registry) {
                T::Item::register(registry);
            }

            fn param_in() -> Option<MetaParamIn> {
                Some($place)
            }

            fn param_schema_ref() -> Option<MetaSchemaRef> {
                Some(T::schema())
            }

            async fn from_request(
                request: &'a Request,
                _: &mut RequestBody,
                options: ExtractParamOptions<T>,
            ) -> poem::Result<Self> {
                let find: fn(&Request, &str) -> Result<Vec<String>, String> = $find;
                let values = find(request, options.name).and_then(|values| T::from_values(&values));
                values.map(Self).map_err(|fault| Problem::parameter(options.name, fault).into())
            }
        }
    };
}

extractor! {
    /// A query parameter.
    Query, MetaParamIn::Query, |request, wanted| {
        let pairs: Vec<(String, String)> = request.params().map_err(|error| error.to_string())?;
        Ok(pairs.into_iter().filter(|(name, _)| name == wanted).map(|(_, value)| value).collect())
    }
}

extractor! {
    /// A parameter in a header.
    Header, MetaParamIn::Header, |request, name| {
        let values = request.headers().get_all(name).iter();
        let texts = values.map(|value| value.to_str().map(str::to_owned));
        texts.collect::<Result<_, _>>().map_err(|_| "is not visible ASCII".to_owned())
    }
}

/// The id of a run in the path.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunPath(pub(super) RunId);

impl<'a> ApiExtractor<'a> for RunPath {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = true;

    type ParamType = ();
    type ParamRawType = ();

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Path)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "uuid"))))
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        // poem-openapi renames the variables of a path to `param0` and so on for its router.
        let text = request.raw_path_param("param0").unwrap_or_default();
        let fault = |_| Problem::parameter(options.name, format!("`{text}` is no UUID"));
        Ok(Self(text.parse().map_err(fault)?))
    }
}
