//! Every attribute, event and operation name that extraction reads.
//!
//! Sources: OpenTelemetry semantic conventions for generative AI (including the deprecated names), and Google
//! ADK's own attributes.

/// Says what a span does; see `overlay::Operation`.
pub(super) const OPERATION_NAME: &str = "gen_ai.operation.name";
pub(super) const PROVIDER_NAME: &str = "gen_ai.provider.name";
/// Deprecated name of the provider.
pub(super) const SYSTEM: &str = "gen_ai.system";
pub(super) const CONVERSATION_ID: &str = "gen_ai.conversation.id";
pub(super) const AGENT_NAME: &str = "gen_ai.agent.name";
pub(super) const AGENT_ID: &str = "gen_ai.agent.id";
pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(super) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(super) const RESPONSE_ID: &str = "gen_ai.response.id";
pub(super) const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Deprecated, a single string.
pub(super) const FINISH_REASON: &str = "gen_ai.response.finish_reason";
pub(super) const INPUT_MESSAGES: &str = "gen_ai.input.messages";
pub(super) const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
pub(super) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(super) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(super) const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
pub(super) const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_write.input_tokens";
/// Deprecated name of the input tokens.
pub(super) const PROMPT_TOKENS: &str = "gen_ai.usage.prompt_tokens";
/// Deprecated name of the output tokens.
pub(super) const COMPLETION_TOKENS: &str = "gen_ai.usage.completion_tokens";
/// Deprecated name of the tokens written to the cache.
pub(super) const CACHE_CREATION_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
pub(super) const TOOL_NAME: &str = "gen_ai.tool.name";
pub(super) const TOOL_CALL_ID: &str = "gen_ai.tool.call.id";
pub(super) const TOOL_CALL_ARGUMENTS: &str = "gen_ai.tool.call.arguments";
pub(super) const TOOL_CALL_RESULT: &str = "gen_ai.tool.call.result";
pub(super) const ERROR_TYPE: &str = "error.type";
pub(super) const SESSION_ID: &str = "session.id";
pub(super) const SERVICE_NAME: &str = "service.name";

/// Prefix of the token counts.
pub(super) const USAGE_PREFIX: &str = "gen_ai.usage.";
/// Prefix of the legacy indexed input messages, `gen_ai.prompt.0.content`.
pub(super) const PROMPT_PREFIX: &str = "gen_ai.prompt.";
/// Prefix of the legacy indexed output messages.
pub(super) const COMPLETION_PREFIX: &str = "gen_ai.completion.";

/// Instrumentation scope of Google ADK; also a value of `gen_ai.system` that names no provider.
pub(super) const ADK_SCOPE: &str = "gcp.vertex.agent";
pub(super) const ADK_PREFIX: &str = "gcp.vertex.agent.";
pub(super) const ADK_LLM_REQUEST: &str = "gcp.vertex.agent.llm_request";
pub(super) const ADK_LLM_RESPONSE: &str = "gcp.vertex.agent.llm_response";
pub(super) const ADK_TOOL_CALL_ARGS: &str = "gcp.vertex.agent.tool_call_args";
pub(super) const ADK_TOOL_RESPONSE: &str = "gcp.vertex.agent.tool_response";

/// Set by a test harness: id of the eval case that a trace answers.
pub(super) const EVAL_CASE_ID: &str = "agentevals.eval.case.id";
/// Set by a test harness on the resource: name of the session that a trace belongs to.
pub(super) const SESSION_NAME: &str = "agentevals.session_name";

/// Carries the messages and details of a model call.
pub(super) const EVENT_DETAILS: &str = "gen_ai.client.inference.operation.details";
/// Prefix and names of the deprecated message events.
pub(super) const EVENT_SYSTEM: &str = "gen_ai.system.message";
pub(super) const EVENT_USER: &str = "gen_ai.user.message";
pub(super) const EVENT_ASSISTANT: &str = "gen_ai.assistant.message";
pub(super) const EVENT_TOOL: &str = "gen_ai.tool.message";
pub(super) const EVENT_CHOICE: &str = "gen_ai.choice";
