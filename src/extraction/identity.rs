//! Agent, model and provider of a conversation, for listings.

use super::attrs;
use super::overlay::Operation;
use super::tree::Analysis;

/// Agent, model and provider of a conversation, each as far as the traces name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Id of the first agent that has one.
    pub agent_id: Option<String>,
    /// The first model that was requested, or that answered a request without a model name.
    pub model: Option<String>,
    /// The first model that answered.
    pub response_model: Option<String>,
    /// Provider of the model.
    pub provider: Option<String>,
}

impl Identity {
    /// Reads the first of each, in the order of the tree.
    pub(super) fn of(analyses: &[Analysis<'_>]) -> Self {
        let mut model = None;
        let mut response_model = None;
        for view in spans(analyses).map(|(analysis, at)| &analysis.views[at]) {
            if view.operation == Operation::Inference {
                model = model.or(view.request_model.as_deref()).or(view.response_model.as_deref());
                response_model = response_model.or(view.response_model.as_deref());
            }
        }
        // ADK writes its own name as the system; it is not a provider of models.
        let system = || first_text(analyses, attrs::SYSTEM).filter(|system| system != attrs::ADK_SCOPE);
        Self {
            agent_id: first_text(analyses, attrs::AGENT_ID),
            model: model.map(str::to_owned),
            response_model: response_model.map(str::to_owned),
            provider: first_text(analyses, attrs::PROVIDER_NAME).or_else(system),
        }
    }
}

/// All spans in the order of the tree, by analysis and index.
fn spans<'a, 't>(analyses: &'a [Analysis<'t>]) -> impl Iterator<Item = (&'a Analysis<'t>, usize)> {
    analyses.iter().flat_map(|analysis| analysis.order.iter().map(move |at| (analysis, *at as usize)))
}

/// The first non-empty text under `key` on a span.
fn first_text(analyses: &[Analysis<'_>], key: &str) -> Option<String> {
    let mut texts =
        spans(analyses).filter_map(|(analysis, at)| analysis.trace.spans[at].attributes.get(key)?.as_str());
    texts.find(|text| !text.is_empty()).map(str::to_owned)
}
