//! What a conversation says about itself, for listings.

use super::attrs;
use super::overlay::{Operation, View};
use super::tree::Analysis;

/// Who acted in a conversation, as far as the traces say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Id of the first agent that has one.
    pub agent_id: Option<String>,
    /// The model that was asked for first, else the one that answered.
    pub model: Option<String>,
    /// The model that answered first.
    pub response_model: Option<String>,
    /// Who offers the model.
    pub provider: Option<String>,
}

impl Identity {
    /// Reads the first of each, in the order of the tree.
    pub(super) fn of(analyses: &[Analysis<'_>]) -> Self {
        let spans =
            || analyses.iter().flat_map(|analysis| analysis.order.iter().map(move |at| (analysis, *at)));
        let calls = || {
            let views = spans().map(|(analysis, at)| &analysis.views[at as usize]);
            views.filter(|view| view.operation == Operation::Inference)
        };
        let attribute = |key: &str| {
            let values = spans()
                .filter_map(|(analysis, at)| analysis.trace.spans[at as usize].attributes.get(key)?.as_str());
            values.filter(|text| !text.is_empty()).map(str::to_owned).next()
        };
        let model = |view: &View<'_>| {
            view.request_model.as_deref().or(view.response_model.as_deref()).map(str::to_owned)
        };
        let response_model = |view: &View<'_>| view.response_model.as_deref().map(str::to_owned);
        // ADK gives its own name as the system, which is no provider of models.
        let system = || attribute(attrs::SYSTEM).filter(|system| system != attrs::ADK_SCOPE);
        Self {
            agent_id: attribute(attrs::AGENT_ID),
            model: calls().find_map(model),
            response_model: calls().find_map(response_model),
            provider: attribute(attrs::PROVIDER_NAME).or_else(system),
        }
    }
}
