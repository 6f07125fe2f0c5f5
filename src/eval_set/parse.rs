//! Reads the ADK EvalSet schema (google-adk 2.13).
//!
//! The members of the set itself are spelled in snake case, and unknown ones are allowed. Below it snake and camel case
//! are allowed, and unknown members are faults unless they are null.

use super::model::{EvalCase, EvalSet};
use crate::invocation::{Args, ExpectedInvocation, ToolCall};
use crate::json::checked::{Cursor, Fault, Faults, Spelling};
use crate::json::{self, SyntaxError, Value};

/// Why a document is not an eval set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalSetError {
    /// It is not JSON.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// It does not fit the schema; at least one fault.
    #[error("{}", shown(.0))]
    Schema(Vec<Fault>),
}

impl EvalSetError {
    /// The faults one by one.
    pub fn faults(&self) -> Vec<String> {
        match self {
            Self::Syntax(error) => vec![error.to_string()],
            Self::Schema(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }
}

impl EvalSet {
    /// Reads an eval set from JSON.
    ///
    /// # Errors
    /// All faults of the document, each with its path.
    pub fn parse(text: &str) -> Result<Self, EvalSetError> {
        let document = json::parse(text)?;
        let faults = Faults::default();
        let eval_set = Self::read(&Cursor::root(&document, &faults));
        let faults = faults.into_vec();
        match eval_set {
            Some(eval_set) if faults.is_empty() => Ok(eval_set),
            _ => Err(EvalSetError::Schema(faults)),
        }
    }

    /// Reads an eval set that is part of a document; faults are located in that document.
    pub fn read(cursor: &Cursor<'_, '_>) -> Option<Self> {
        let object = cursor.object(Spelling::Snake)?;
        let id = object.required("eval_set_id", |id| id.string());
        let cases = object.required("eval_cases", |cases| cases.list(read_case));
        object.optional("name", |name| name.string());
        object.optional("description", |text| text.string());
        object.optional("creation_timestamp", |time| time.number());
        let mut remarks = Vec::new();
        object.each_unknown(|member, _| {
            remarks.push(
                member.to_fault("unknown member, ignored; the set's own members are spelled in snake case"),
            );
        });
        Some(Self { id: id?, cases: cases?, remarks, null_members: cursor.take_null_members() })
    }
}

/// The first faults on one line.
fn shown(faults: &[Fault]) -> String {
    const SHOWN: usize = 3;
    let mut text = faults.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if faults.len() > SHOWN {
        text.push_str(&format!("; and {} more (`agentevals validate` lists all)", faults.len() - SHOWN));
    }
    text
}

fn read_case(cursor: &Cursor<'_, '_>) -> Option<EvalCase> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    let id = object.required("eval_id", |id| id.string());
    let conversation = object.optional("conversation", |turns| turns.list(read_invocation));
    let has_scenario = object.has("conversation_scenario");
    object.optional("conversation_scenario", |scenario| {
        let scenario = scenario.object(Spelling::SnakeOrCamel)?;
        scenario.required("starting_prompt", |prompt| prompt.string());
        scenario.required("conversation_plan", |plan| plan.string());
        scenario.optional("user_persona", |_| Some(()));
        scenario.refuse_unknown_unless_null();
        Some(())
    });
    if object.has("conversation") == has_scenario {
        cursor.fault("exactly one of `conversation` and `conversation_scenario` must be given");
    }
    object.optional("session_input", |session| {
        let session = session.object(Spelling::SnakeOrCamel)?;
        session.required("app_name", |name| name.string());
        session.required("user_id", |user| user.string());
        session.optional("session_id", |session| session.string());
        session.optional("state", |state| state.map());
        Some(())
    });
    object.optional("rubrics", read_rubrics);
    object.optional("final_session_state", |state| state.map());
    object.optional("creation_timestamp", |time| time.number());
    Some(EvalCase { id: id?, conversation: conversation.unwrap_or_default() })
}

fn read_rubrics(cursor: &Cursor<'_, '_>) -> Option<Vec<()>> {
    cursor.list(|rubric| {
        let rubric = rubric.object(Spelling::SnakeOrCamel)?;
        rubric.required("rubric_id", |id| id.string());
        rubric.required("rubric_content", |content| {
            let content = content.object(Spelling::SnakeOrCamel)?;
            content.required("text_property", |text| text.string());
            content.refuse_unknown_unless_null();
            Some(())
        });
        rubric.optional("description", |text| text.string());
        rubric.optional("type", |kind| kind.string());
        rubric.refuse_unknown_unless_null();
        Some(())
    })
}

fn read_invocation(cursor: &Cursor<'_, '_>) -> Option<ExpectedInvocation> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    let id = object.optional("invocation_id", |id| id.string());
    let user = object.required("user_content", read_content);
    let response = object.optional("final_response", read_content);
    let tool_calls = object.optional("intermediate_data", read_intermediate_data);
    for name in ["creation_timestamp", "duration", "model_duration", "tool_duration"] {
        object.optional(name, |number| number.number());
    }
    object.optional("rubrics", read_rubrics);
    object.optional("app_details", |details| {
        let details = details.object(Spelling::SnakeOrCamel)?;
        details.optional("agent_details", |agents| agents.map());
        details.refuse_unknown_unless_null();
        Some(())
    });
    object.refuse_unknown_unless_null();
    Some(ExpectedInvocation {
        invocation_id: id.unwrap_or_default(),
        user_texts: user?.texts,
        has_response: response.is_some(),
        answer_texts: response.as_ref().map(|content| content.answers.clone()).unwrap_or_default(),
        response_texts: response.map(|content| content.texts).unwrap_or_default(),
        tool_calls: tool_calls.unwrap_or_default(),
    })
}

/// The parts of a content that are used.
#[derive(Default)]
struct ContentParts {
    /// The non-empty text parts.
    texts: Vec<String>,
    /// Those of `texts` that are no thoughts of the model.
    answers: Vec<String>,
    calls: Vec<ToolCall>,
    responses: Vec<FunctionResponse>,
}

struct FunctionResponse {
    id: Option<String>,
    name: Option<String>,
    response: Value<'static>,
}

fn read_content(cursor: &Cursor<'_, '_>) -> Option<ContentParts> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    let mut content = ContentParts::default();
    object.optional("role", |role| role.string());
    object.optional("parts", |parts| parts.list(|part| read_part(part, &mut content)));
    object.refuse_unknown_unless_null();
    Some(content)
}

fn read_part(cursor: &Cursor<'_, '_>, content: &mut ContentParts) -> Option<()> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    let text = object.optional("text", |text| text.string());
    let is_thought = object.optional("thought", |thought| thought.boolean()).unwrap_or(false);
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        content.answers.extend((!is_thought).then(|| text.clone()));
        content.texts.push(text);
    }
    content.calls.extend(object.optional("function_call", read_function_call));
    content.responses.extend(object.optional("function_response", read_function_response));
    for name in [
        "inline_data",
        "file_data",
        "thought_signature",
        "executable_code",
        "code_execution_result",
        "video_metadata",
        "media_resolution",
        "part_metadata",
        "audio_transcription",
        "media_processing",
        "speech_metadata",
        "tool_call",
        "tool_response",
    ] {
        object.optional(name, |_| Some(()));
    }
    object.refuse_unknown_unless_null();
    Some(())
}

fn read_function_call(cursor: &Cursor<'_, '_>) -> Option<ToolCall> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    let id = object.optional("id", |id| id.string());
    let name = object.optional("name", |name| name.string());
    let given = object.optional("args", |args| args.map().map(|_| args.value().clone().into_owned()));
    let args = match given {
        Some(args) => Args::Given(args),
        None if object.is_written("args") => Args::Any,
        None => Args::Omitted,
    };
    object.optional("partial_args", |args| args.list(|_| Some(())));
    object.optional("will_continue", |flag| flag.boolean());
    object.refuse_unknown_unless_null();
    Some(ToolCall { id, name: name.unwrap_or_default(), args, result: None, failed: false })
}

fn read_function_response(cursor: &Cursor<'_, '_>) -> Option<FunctionResponse> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    let id = object.optional("id", |id| id.string());
    let name = object.optional("name", |name| name.string());
    let response =
        object.optional("response", |answer| answer.map().map(|_| answer.value().clone().into_owned()));
    object.optional("parts", |parts| parts.list(|_| Some(())));
    object.optional("scheduling", |scheduling| scheduling.string());
    object.optional("will_continue", |flag| flag.boolean());
    object.refuse_unknown_unless_null();
    Some(FunctionResponse { id, name, response: response.unwrap_or_default() })
}

/// Reads either shape: lists of calls and responses, or the events that hold them.
fn read_intermediate_data(cursor: &Cursor<'_, '_>) -> Option<Vec<ToolCall>> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    if object.has("invocation_events") {
        let events = object.optional("invocation_events", |events| events.list(read_event));
        object.refuse_unknown_unless_null();
        let (mut calls, mut responses) = (Vec::new(), Vec::new());
        for content in events.unwrap_or_default() {
            calls.extend(content.calls);
            responses.extend(content.responses);
        }
        return Some(with_responses(calls, responses));
    }
    let calls = object.optional("tool_uses", |calls| calls.list(read_function_call));
    let responses = object.optional("tool_responses", |answers| answers.list(read_function_response));
    object.optional("intermediate_responses", |list| list.list(read_intermediate_response));
    object.refuse_unknown_unless_null();
    Some(with_responses(calls.unwrap_or_default(), responses.unwrap_or_default()))
}

fn read_intermediate_response(cursor: &Cursor<'_, '_>) -> Option<()> {
    let mut content = ContentParts::default();
    match cursor.value() {
        Value::List(pair) if pair.len() == 2 => {}
        _ => {
            cursor.fault("expected a pair of author and parts");
            return None;
        }
    }
    let mut member = 0;
    cursor.list(|item| {
        member += 1;
        match member {
            1 => item.string().map(drop),
            _ => item.list(|part| read_part(part, &mut content)).map(drop),
        }
    });
    Some(())
}

fn read_event(cursor: &Cursor<'_, '_>) -> Option<ContentParts> {
    let object = cursor.object(Spelling::SnakeOrCamel)?;
    object.required("author", |author| author.string());
    object.optional("content", read_content)
}

/// Gives each call the first unused response with its id, else with its name.
fn with_responses(mut calls: Vec<ToolCall>, responses: Vec<FunctionResponse>) -> Vec<ToolCall> {
    let mut responses: Vec<_> = responses.into_iter().map(Some).collect();
    for by_id in [true, false] {
        for call in calls.iter_mut().filter(|call| call.result.is_none()) {
            let fits = |response: &Option<FunctionResponse>| {
                let Some(response) = response else { return false };
                match by_id {
                    true => response.id.is_some() && response.id == call.id,
                    false => response.name.as_ref() == Some(&call.name),
                }
            };
            let found = responses.iter_mut().find(|response| fits(response)).and_then(Option::take);
            call.result = found.map(|response| response.response);
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        EvalSet::parse(text).unwrap_err().faults()
    }

    #[test]
    fn faults_are_located() {
        let text = r#"{"eval_set_id":"s","eval_cases":[
            {"evalId":"a","conversation":[{"finalResponse":{}}]},
            {"eval_id":"b","conversation":[{"user_content":{"parts":[{"type":"text","text":"x"}]}}]},
            {"eval_id":"c"}]}"#;
        assert_eq!(
            faults(text),
            [
                "$.eval_cases[0].conversation[0].user_content: missing",
                "$.eval_cases[1].conversation[0].user_content.parts[0].type: unknown member",
                "$.eval_cases[2]: exactly one of `conversation` and `conversation_scenario` must be given",
            ]
        );
    }

    #[test]
    fn camel_case_at_the_top_is_refused_with_the_remedy() {
        let found = faults(r#"{"evalSetId":"s","evalCases":[]}"#);
        assert_eq!(found[0], "$.eval_set_id: missing; `evalSetId` is not read here, write `eval_set_id`");
    }

    #[test]
    fn omitted_null_and_given_arguments_are_three_things() {
        let text = r#"{"eval_set_id":"s","eval_cases":[{"eval_id":"a","conversation":[{"user_content":{},
            "intermediate_data":{"tool_uses":[{"name":"a"},{"name":"b","args":null},{"name":"c","args":{}}],
            "tool_responses":[{"name":"b","response":{"r":1}}]}}]}]}"#;
        let set = EvalSet::parse(text).unwrap();
        let calls = &set.cases[0].conversation[0].tool_calls;
        assert!(matches!(calls[0].args, Args::Omitted));
        assert!(matches!(calls[1].args, Args::Any));
        assert!(matches!(calls[2].args, Args::Given(_)));
        assert!(calls[0].result.is_none() && calls[1].result.is_some());
    }

    #[test]
    fn events_yield_the_expected_calls() {
        let text = r#"{"eval_set_id":"s","eval_cases":[{"eval_id":"a","conversation":[{"user_content":{},
            "intermediate_data":{"invocation_events":[
              {"author":"agent","content":{"parts":[{"functionCall":{"id":"1","name":"f","args":{"x":1}}}]}},
              {"author":"agent","content":{"parts":[{"functionResponse":{"id":"1","response":{"y":2}}}]}}]}}]}]}"#;
        let set = EvalSet::parse(text).unwrap();
        let call = &set.cases[0].conversation[0].tool_calls[0];
        assert_eq!((&*call.name, call.result.as_ref().unwrap().to_json_text()), ("f", r#"{"y": 2}"#.into()));
    }

    #[test]
    fn lint_finds_what_is_allowed_but_will_not_work() {
        let turn = r#"{"user_content":{"parts":[{"text":"Hi"}]}}"#;
        let text = format!(
            r#"{{"eval_set_id":"s","evalNotes":1,"eval_cases":[{{"eval_id":"a","conversation":[{turn}]}},
            {{"eval_id":"a","conversation":[{turn}]}},{{"eval_id":"c","conversation":[]}},
            {{"eval_id":"d","conversation":[{{"user_content":{{}}}}]}}]}}"#
        );
        let lint: Vec<_> = EvalSet::parse(&text).unwrap().lint().iter().map(ToString::to_string).collect();
        assert_eq!(lint.len(), 5, "{lint:#?}");
        assert!(lint[1].contains("duplicate eval_id") && lint[2].contains("ambiguous"));
        assert!(lint[3].contains("never used") && lint[4].contains("without user text"));
    }
}
