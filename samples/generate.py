#!/usr/bin/env python3
"""Writes the sample recordings and eval sets of this folder.

Everything is fixed: ids are derived from names, times from constants, so
running the script again gives the same bytes. Run it from anywhere:

    python3 samples/generate.py

The script has four parts: the words (what the users, agents and tools say),
the recorder (spans and log records with a clock), the conventions (how an
agent framework writes a turn into spans), and the file formats.
"""

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent

INTERNAL, CLIENT = 1, 3
KIND_NAMES = {INTERNAL: "internal", CLIENT: "client"}


# --- The words ---------------------------------------------------------------


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool: what was asked, what came back, how long it took."""

    name: str
    arguments: dict
    result: dict
    milliseconds: int


@dataclass(frozen=True)
class ModelCall:
    """One call of the model, which either requests tools or answers."""

    milliseconds: int
    input_tokens: int
    output_tokens: int
    tools: tuple = ()
    answer: str = ""


@dataclass(frozen=True)
class Turn:
    """One question of the user, handled by one or more model calls.

    `expected_answer` is the wording the eval set asks for.
    """

    user: str
    model_calls: tuple
    expected_answer: str

    @property
    def tools(self):
        """All tool calls of the turn in order."""
        return [tool for call in self.model_calls for tool in call.tools]


@dataclass(frozen=True)
class Agent:
    """An agent, the service it runs in and the tools it may use."""

    name: str
    service: str
    scope: str
    scope_version: str
    provider: str
    model: str
    instructions: str
    tools: dict


def requests(milliseconds, input_tokens, output_tokens, *tools):
    """A model call which requests tools."""
    return ModelCall(milliseconds, input_tokens, output_tokens, tools=tools)


def answers(milliseconds, input_tokens, output_tokens, text):
    """A model call which answers the user."""
    return ModelCall(milliseconds, input_tokens, output_tokens, answer=text)


TRAVEL_AGENT = Agent(
    name="travel_planner",
    service="travel-desk",
    scope="gcp.vertex.agent",
    scope_version="1.18.0",
    provider="gcp.vertex_ai",
    model="gemini-2.5-flash",
    instructions="You plan rail trips. Always name times, prices and the hotel.",
    tools={
        "search_trains": "Finds train connections between two cities on a day.",
        "search_hotels": "Finds hotels in a part of a city.",
        "save_itinerary": "Saves the trip to the traveller's profile.",
    },
)

SEARCH_TRAINS = ToolCall(
    "search_trains",
    {
        "origin": "Vienna",
        "destination": "Ljubljana",
        "date": "2025-06-12",
        "depart_before": "12:00",
        "direct_only": True,
    },
    {"trains": [{"number": "EC 151", "departs": "07:58", "arrives": "14:02", "price_eur": 49.9}]},
    milliseconds=326,
)

SEARCH_HOTELS = ToolCall(
    "search_hotels",
    {
        "city": "Ljubljana",
        "area": "old town",
        "check_in": "2025-06-12",
        "nights": 2,
        "quiet": True,
    },
    {
        "hotels": [
            {"name": "Lipov List", "price_eur": 118, "rating": 4.6},
            {"name": "Stari Most", "price_eur": 149, "rating": 4.4},
        ]
    },
    milliseconds=471,
)

TRAVEL_TURN = Turn(
    user="Find a direct morning train from Vienna to Ljubljana on 12 June and a quiet hotel "
    "near the old town for two nights.",
    model_calls=(
        requests(1184, 412, 38, SEARCH_TRAINS),
        requests(902, 531, 34, SEARCH_HOTELS),
        answers(
            1540,
            648,
            71,
            "The direct EC 151 leaves Vienna at 07:58 and reaches Ljubljana at 14:02 for "
            "49.90 euros. For the two nights I suggest the quiet Lipov List near the old town, "
            "at 118 euros a night.",
        ),
    ),
    expected_answer="The direct EC 151 leaves Vienna at 07:58 and arrives in Ljubljana at 14:02 "
    "for 49.90 euros. For two nights I suggest the quiet hotel Lipov List near the old town, "
    "at 118 euros a night.",
)

SUPPORT_AGENT = Agent(
    name="order_support",
    service="teahouse-shop",
    scope="opentelemetry.instrumentation.langchain",
    scope_version="0.4.0",
    provider="openai",
    model="gpt-4.1-mini",
    instructions="You help customers of a tea shop. Check the order before you promise anything.",
    tools={
        "find_order": "Looks an order up by its number.",
        "create_replacement": "Sends an item of an order again.",
        "refund_item": "Pays an item of an order back.",
    },
)

FIND_ORDER = ToolCall(
    "find_order",
    {"order_id": "T-48213"},
    {
        "order_id": "T-48213",
        "delivered": "2025-03-06",
        "items": [
            {"sku": "POT-CELADON", "title": "Celadon teapot", "quantity": 1},
            {"sku": "SENCHA-100", "title": "Sencha 100 g", "quantity": 2},
        ],
    },
    milliseconds=64,
)

CREATE_REPLACEMENT = ToolCall(
    "create_replacement",
    {"order_id": "T-48213", "sku": "POT-CELADON", "quantity": 1, "reason": "damaged"},
    {"replacement_id": "R-9071", "ships_on": "2025-03-12"},
    milliseconds=188,
)

SUPPORT_TURN = Turn(
    user="The teapot in order T-48213 arrived with a crack. Can you send me a new one?",
    model_calls=(
        requests(873, 268, 21, FIND_ORDER),
        requests(958, 377, 33, CREATE_REPLACEMENT),
        answers(
            1127,
            436,
            47,
            "I am sorry about the crack. A new celadon teapot is on its way: replacement "
            "R-9071 ships on 12 March at no cost, and you can keep the broken one.",
        ),
    ),
    expected_answer="I am sorry about the crack. A new celadon teapot is on its way: replacement "
    "R-9071 ships on 12 March at no cost to you. You can keep the broken one.",
)

LIBRARY_AGENT = Agent(
    name="library_desk",
    service="city-library",
    scope="opentelemetry.instrumentation.openai_v2",
    scope_version="2.1b0",
    provider="openai",
    model="gpt-4o-mini",
    instructions="You answer at the desk of a city library. Reserve books only when asked to.",
    tools={
        "check_copies": "Counts the free copies of a title in a branch.",
        "reserve_book": "Reserves a copy of a title for a reader.",
    },
)

CHECK_TIDAL_GARDENS = ToolCall(
    "check_copies",
    {"title": "Tidal Gardens", "branch": "harbour"},
    {"free": 0, "due_back": "2025-04-02"},
    milliseconds=37,
)

CHECK_SALT_ATLAS = ToolCall(
    "check_copies",
    {"title": "The Salt Atlas", "branch": "harbour"},
    {"free": 2},
    milliseconds=41,
)

RESERVE_SALT_ATLAS = ToolCall(
    "reserve_book",
    {"title": "The Salt Atlas", "branch": "harbour", "card": "5518"},
    {"reserved": True, "shelf": "H-12", "until": "2025-03-18"},
    milliseconds=112,
)

LIBRARY_TURN = Turn(
    user="Does the harbour branch have Tidal Gardens or The Salt Atlas? Please reserve "
    "whichever is free for card 5518.",
    model_calls=(
        requests(791, 231, 52, CHECK_TIDAL_GARDENS, CHECK_SALT_ATLAS),
        requests(684, 342, 29, RESERVE_SALT_ATLAS),
        answers(
            1033,
            398,
            44,
            "Tidal Gardens is on loan until 2 April, but The Salt Atlas is free. I reserved "
            "it for card 5518; you find it on shelf H-12 until 18 March.",
        ),
    ),
    expected_answer="Tidal Gardens is on loan until 2 April, but The Salt Atlas is free. It is "
    "reserved for card 5518 and waits on shelf H-12 until 18 March.",
)

BANK_AGENT = Agent(
    name="bank_teller",
    service="riverbank-chat",
    scope="riverbank.agent",
    scope_version="3.2.0",
    provider="openai",
    model="gpt-4.1",
    instructions="You help customers with their own accounts. State every amount in euros.",
    tools={
        "get_balance": "Reads the balance of an account.",
        "list_standing_orders": "Lists the next standing orders of an account.",
        "transfer": "Moves money between two accounts of the customer.",
    },
)

SAVINGS_BALANCE = ToolCall(
    "get_balance",
    {"account": "savings"},
    {"balance": 1860.25, "currency": "EUR"},
    milliseconds=58,
)

EVERYDAY_BALANCE = ToolCall(
    "get_balance",
    {"account": "everyday"},
    {"balance": 715.4, "currency": "EUR"},
    milliseconds=55,
)

STANDING_ORDERS = ToolCall(
    "list_standing_orders",
    {"account": "everyday", "days": 14},
    {"orders": [{"to": "Rent", "amount": 940, "date": "2025-04-01"}]},
    milliseconds=73,
)

TRANSFER = ToolCall(
    "transfer",
    {"from_account": "savings", "to_account": "everyday", "amount": 300},
    {"status": "booked", "reference": "TX-66104"},
    milliseconds=231,
)

BANK_TURNS = (
    Turn(
        user="How much is on my savings account?",
        model_calls=(
            requests(702, 204, 18, SAVINGS_BALANCE),
            answers(644, 247, 19, "Your savings account holds 1860.25 euros."),
        ),
        expected_answer="Your savings account holds 1860.25 euros.",
    ),
    Turn(
        user="Will my everyday account cover the rent? If not, move 300 euros over.",
        model_calls=(
            requests(816, 289, 42, EVERYDAY_BALANCE, STANDING_ORDERS),
            requests(769, 402, 31, TRANSFER),
            answers(
                958,
                455,
                48,
                "The everyday account had 715.40 euros and the rent of 940 euros is due on "
                "1 April, so I moved 300 euros from savings. It now holds 1015.40 euros.",
            ),
        ),
        expected_answer="Your everyday account had 715.40 euros and the rent of 940 euros is due "
        "on 1 April, so I moved 300 euros from savings. It now has 1015.40 euros.",
    ),
    Turn(
        user="Thank you. And what is left on savings now?",
        model_calls=(
            answers(588, 521, 22, "After the transfer your savings account holds 1560.25 euros."),
        ),
        expected_answer="After the transfer, your savings account holds 1560.25 euros.",
    ),
)

KITCHEN_AGENT = Agent(
    name="kitchen_planner",
    service="supper-club",
    scope="supperclub.tracing",
    scope_version="1.0.4",
    provider="mistral_ai",
    model="mistral-small-2503",
    instructions="You plan meals from what is at hand. Mention what has to be bought.",
    tools={
        "list_pantry": "Lists the food in one place of the kitchen.",
        "find_recipes": "Finds recipes which use given ingredients.",
        "scale_recipe": "Scales a recipe to a number of servings.",
    },
)

LIST_PANTRY = ToolCall(
    "list_pantry",
    {"place": "fridge"},
    {"items": ["leeks", "feta", "eggs", "spinach"]},
    milliseconds=22,
)

FIND_RECIPES = ToolCall(
    "find_recipes",
    {"ingredients": ["leeks", "feta", "spinach"], "diet": "vegetarian", "max_minutes": 60},
    {"recipes": [{"id": "leek-pie", "title": "Leek and feta pie", "minutes": 50}]},
    milliseconds=147,
)

SCALE_RECIPE = ToolCall(
    "scale_recipe",
    {"recipe_id": "leek-pie", "servings": 6},
    {"servings": 6, "amounts": {"leeks": 4, "feta_g": 300, "spinach_g": 450, "filo_g": 375}},
    milliseconds=9,
)

KITCHEN_TURN = Turn(
    user="What vegetarian supper can I cook for six from the fridge in under an hour?",
    model_calls=(
        requests(655, 219, 17, LIST_PANTRY),
        requests(803, 274, 41, FIND_RECIPES),
        requests(612, 351, 24, SCALE_RECIPE),
        answers(
            1218,
            428,
            56,
            "Make a leek and feta pie: it takes 50 minutes. For six you need 4 leeks, 300 g "
            "of feta, 450 g of spinach and 375 g of filo pastry. Only the filo has to be bought.",
        ),
    ),
    expected_answer="Make a leek and feta pie, which takes 50 minutes. For six you need 4 leeks, "
    "300 g feta, 450 g spinach and 375 g filo pastry. Only the filo has to be bought.",
)


# --- The recorder ------------------------------------------------------------


def derived_id(digits, *names):
    """A fixed hexadecimal id with that many digits, derived from names."""
    return hashlib.sha256("/".join(names).encode()).hexdigest()[:digits]


def microseconds(*date_and_time):
    """A UTC date and time as microseconds since the epoch."""
    return int(datetime(*date_and_time, tzinfo=timezone.utc).timestamp()) * 1_000_000


def compact(value):
    """JSON text as agent frameworks put it into an attribute."""
    return json.dumps(value, ensure_ascii=False)


@dataclass
class Span:
    """A span; times are microseconds, the common ground of OTLP and Jaeger."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start: int
    end: int = 0
    attributes: dict = field(default_factory=dict)


@dataclass
class LogRecord:
    """A log record which carries one event of a span."""

    trace_id: str
    span_id: str
    time: int
    event_name: str
    attributes: dict
    body: dict


class Trace:
    """Records one trace. Its clock only moves forward, so children lie inside their parents."""

    OVERHEAD = 1_250
    """Microseconds which a framework spends before and after every span."""

    def __init__(self, name, start):
        self.name = name
        self.trace_id = derived_id(32, "trace", name)
        self.now = start
        self.spans = []
        self.open_ids = []

    @contextmanager
    def span(self, name, kind=INTERNAL):
        """Records a span below the one that is open; it ends with the `with` block."""
        number = str(len(self.spans))
        span = Span(
            trace_id=self.trace_id,
            span_id=derived_id(16, "span", self.name, number),
            parent_id=self.open_ids[-1] if self.open_ids else "",
            name=name,
            kind=kind,
            start=self.now,
        )
        self.spans.append(span)
        self.open_ids.append(span.span_id)
        self.now += self.OVERHEAD
        yield span
        self.now += self.OVERHEAD
        span.end = self.now
        self.open_ids.pop()

    def work(self, milliseconds):
        """Lets time pass."""
        self.now += milliseconds * 1_000

    def call_ids(self, model_call_number, tools):
        """Pairs the tool calls that one model call requests with their call ids."""
        names = ("call", self.name, str(model_call_number))
        return [
            ("call_" + derived_id(24, *names, str(position)), tool)
            for position, tool in enumerate(tools)
        ]


# --- The conventions: Agent Development Kit ----------------------------------


def adk_request(agent, contents):
    """The text of `gcp.vertex.agent.llm_request`."""
    declarations = [
        {"name": name, "description": description} for name, description in agent.tools.items()
    ]
    return compact(
        {
            "model": agent.model,
            "config": {
                "system_instruction": agent.instructions,
                "tools": [{"function_declarations": declarations}],
            },
            "contents": contents,
        }
    )


def adk_response(call, content):
    """The text of `gcp.vertex.agent.llm_response`."""
    usage = {
        "prompt_token_count": call.input_tokens,
        "candidates_token_count": call.output_tokens,
        "total_token_count": call.input_tokens + call.output_tokens,
    }
    return compact({"content": content, "finish_reason": "STOP", "usage_metadata": usage})


def record_adk_turn(trace, agent, turn):
    """Records a turn as ADK does: invocation, invoke_agent, call_llm and execute_tool spans."""
    session_id = "session-" + derived_id(12, "session", trace.name)
    identity = {
        "gcp.vertex.agent.invocation_id": "e-" + derived_id(32, "invocation", trace.name),
        "gcp.vertex.agent.session_id": session_id,
    }
    contents = [{"role": "user", "parts": [{"text": turn.user}]}]
    with trace.span("invocation"), trace.span(f"invoke_agent {agent.name}") as agent_span:
        agent_span.attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": agent.name,
            "gen_ai.conversation.id": session_id,
        }
        for number, call in enumerate(turn.model_calls):
            requested = trace.call_ids(number, call.tools)
            content = {"role": "model", "parts": adk_output_parts(call, requested)}
            with trace.span("call_llm") as span:
                trace.work(call.milliseconds)
                span.attributes = {
                    "gen_ai.system": "gcp.vertex.agent",
                    "gen_ai.request.model": agent.model,
                    **identity,
                    "gcp.vertex.agent.llm_request": adk_request(agent, contents),
                    "gcp.vertex.agent.llm_response": adk_response(call, content),
                    "gen_ai.usage.input_tokens": call.input_tokens,
                    "gen_ai.usage.output_tokens": call.output_tokens,
                    "gen_ai.response.finish_reasons": ["stop"],
                }
            contents = contents + [content]
            for call_id, tool in requested:
                record_adk_tool(trace, agent, call_id, tool)
            if requested:
                contents = contents + [adk_tool_results(requested)]


def adk_output_parts(call, requested):
    """The parts of a model output: function calls or the answer."""
    if not requested:
        return [{"text": call.answer}]
    return [
        {"function_call": {"id": call_id, "name": tool.name, "args": tool.arguments}}
        for call_id, tool in requested
    ]


def adk_tool_results(requested):
    """The content which hands tool results back to the model."""
    parts = [
        {"function_response": {"id": call_id, "name": tool.name, "response": tool.result}}
        for call_id, tool in requested
    ]
    return {"role": "user", "parts": parts}


def record_adk_tool(trace, agent, call_id, tool):
    """Records one tool call as ADK does."""
    with trace.span(f"execute_tool {tool.name}") as span:
        trace.work(tool.milliseconds)
        span.attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool.name,
            "gen_ai.tool.description": agent.tools[tool.name],
            "gen_ai.tool.type": "FunctionTool",
            "gen_ai.tool.call.id": call_id,
            "gcp.vertex.agent.tool_call_args": compact(tool.arguments),
            "gcp.vertex.agent.tool_response": compact(tool.result),
        }


# --- The conventions: OpenTelemetry GenAI ------------------------------------


def message(role, *parts):
    """A message in the form of the GenAI conventions."""
    return {"role": role, "parts": list(parts)}


def text_part(text):
    """A text part of a message."""
    return {"type": "text", "content": text}


def output_message(call, requested):
    """What the model says: tool calls or the answer."""
    if not requested:
        return message("assistant", text_part(call.answer))
    parts = [
        {"type": "tool_call", "id": call_id, "name": tool.name, "arguments": tool.arguments}
        for call_id, tool in requested
    ]
    return message("assistant", *parts)


def tool_message(call_id, tool):
    """The result of a tool as the model reads it."""
    return message(
        "tool", {"type": "tool_call_response", "id": call_id, "response": tool.result}
    )


class ContentInAttributes:
    """Puts the words into the attributes of the spans."""

    def model_call(self, span, agent, history, output):
        """Adds the messages of a model call to its span."""
        finish_reason = "stop" if output["parts"][0]["type"] == "text" else "tool_call"
        definitions = [
            {"type": "function", "name": name, "description": description}
            for name, description in agent.tools.items()
        ]
        span.attributes["gen_ai.system_instructions"] = compact([text_part(agent.instructions)])
        span.attributes["gen_ai.tool.definitions"] = compact(definitions)
        span.attributes["gen_ai.input.messages"] = compact(history)
        span.attributes["gen_ai.output.messages"] = compact(
            [{**output, "finish_reason": finish_reason}]
        )

    def tool_call(self, span, tool):
        """Adds the arguments and the result of a tool call to its span."""
        span.attributes["gen_ai.tool.call.arguments"] = compact(tool.arguments)
        span.attributes["gen_ai.tool.call.result"] = compact(tool.result)


class ContentInLogs:
    """Puts the words into log records, one event per message; the spans stay without content."""

    EVENT_SPACING = 40
    """Microseconds between the events of one model call."""

    def __init__(self):
        self.records = []

    def model_call(self, span, agent, history, output):
        """Writes the input events at the start of the span and the choice near its end."""
        events = [("gen_ai.system.message", {"content": agent.instructions})]
        events += [(f"gen_ai.{item['role']}.message", event_body(item)) for item in history]
        for number, (event_name, body) in enumerate(events, start=1):
            self.add(span, agent, span.start + number * self.EVENT_SPACING, event_name, body)
        is_answer = output["parts"][0]["type"] == "text"
        choice = {
            "index": 0,
            "finish_reason": "stop" if is_answer else "tool_calls",
            "message": {"role": "assistant", **event_body(output)},
        }
        self.add(span, agent, span.end - self.EVENT_SPACING, "gen_ai.choice", choice)

    def tool_call(self, span, tool):
        """A tool span has no events: the messages of the model calls tell what it did."""

    def add(self, span, agent, time, event_name, body):
        """Keeps one event of a span."""
        attributes = {"gen_ai.system": agent.provider}
        self.records.append(
            LogRecord(span.trace_id, span.span_id, time, event_name, attributes, body)
        )


def event_body(item):
    """A message as the body of a message event, in the shape of the OpenAI API."""
    first = item["parts"][0]
    if first["type"] == "text":
        return {"content": first["content"]}
    if first["type"] == "tool_call_response":
        return {"id": first["id"], "content": compact(first["response"])}
    tool_calls = [
        {
            "id": part["id"],
            "type": "function",
            "function": {"name": part["name"], "arguments": compact(part["arguments"])},
        }
        for part in item["parts"]
    ]
    return {"tool_calls": tool_calls}


def record_genai_turn(trace, agent, turn, content, history=(), conversation_id=None):
    """Records a turn as invoke_agent, chat and execute_tool spans.

    `content` decides where the words go. Returns the messages of the
    conversation so far, which is the `history` of the next turn.
    """
    identity = {"gen_ai.conversation.id": conversation_id} if conversation_id else {}
    history = [*history, message("user", text_part(turn.user))]
    with trace.span(f"invoke_agent {agent.name}") as agent_span:
        agent_span.attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": agent.name,
            "gen_ai.provider.name": agent.provider,
            **identity,
        }
        for number, call in enumerate(turn.model_calls):
            requested = trace.call_ids(number, call.tools)
            output = output_message(call, requested)
            response_id = "resp_" + derived_id(24, "response", trace.name, str(number))
            with trace.span(f"chat {agent.model}", CLIENT) as span:
                trace.work(call.milliseconds)
                span.attributes = {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.provider.name": agent.provider,
                    "gen_ai.request.model": agent.model,
                    "gen_ai.response.model": agent.model,
                    "gen_ai.response.id": response_id,
                    "gen_ai.response.finish_reasons": ["tool_calls" if requested else "stop"],
                    "gen_ai.usage.input_tokens": call.input_tokens,
                    "gen_ai.usage.output_tokens": call.output_tokens,
                    **identity,
                }
            content.model_call(span, agent, history, output)
            history = [*history, output]
            for call_id, tool in requested:
                with trace.span(f"execute_tool {tool.name}") as span:
                    trace.work(tool.milliseconds)
                    span.attributes = {
                        "gen_ai.operation.name": "execute_tool",
                        "gen_ai.tool.name": tool.name,
                        "gen_ai.tool.type": "function",
                        "gen_ai.tool.call.id": call_id,
                    }
                content.tool_call(span, tool)
                history = [*history, tool_message(call_id, tool)]
    return history


# --- The file formats: OTLP JSON ---------------------------------------------


def otlp_value(value):
    """A Python value as an OTLP AnyValue."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [otlp_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": otlp_attributes(value)}}
    return {"stringValue": value}


def otlp_attributes(attributes):
    """A map as a list of OTLP key-value pairs."""
    return [{"key": key, "value": otlp_value(value)} for key, value in attributes.items()]


def otlp_time(time):
    """Microseconds as the decimal text of nanoseconds."""
    return str(time * 1_000)


def otlp_span(span):
    """A span as OTLP JSON."""
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": otlp_time(span.start),
        "endTimeUnixNano": otlp_time(span.end),
        "attributes": otlp_attributes(span.attributes),
        "status": {},
    }


def otlp_log_record(record):
    """A log record as OTLP JSON."""
    return {
        "timeUnixNano": otlp_time(record.time),
        "observedTimeUnixNano": otlp_time(record.time),
        "severityNumber": 9,
        "severityText": "INFO",
        "body": otlp_value(record.body),
        "attributes": otlp_attributes(record.attributes),
        "traceId": record.trace_id,
        "spanId": record.span_id,
        "eventName": record.event_name,
    }


def otlp_resource(agent):
    """The resource which every span and log record of an agent shares."""
    return {
        "attributes": otlp_attributes(
            {"service.name": agent.service, "telemetry.sdk.language": "python"}
        )
    }


def otlp_scope(agent):
    """The instrumentation scope of an agent."""
    return {"name": agent.scope, "version": agent.scope_version}


def otlp_traces(agent, spans):
    """An OTLP export document of spans."""
    scope_spans = {"scope": otlp_scope(agent), "spans": [otlp_span(span) for span in spans]}
    return {"resourceSpans": [{"resource": otlp_resource(agent), "scopeSpans": [scope_spans]}]}


def otlp_logs(agent, records):
    """An OTLP export document of log records."""
    scope_logs = {
        "scope": otlp_scope(agent),
        "logRecords": [otlp_log_record(record) for record in records],
    }
    return {"resourceLogs": [{"resource": otlp_resource(agent), "scopeLogs": [scope_logs]}]}


def batches(items, size):
    """The items in lists of at most `size`, as a batching exporter sends them."""
    return [items[start : start + size] for start in range(0, len(items), size)]


# --- The file formats: Jaeger JSON -------------------------------------------


def jaeger_tag(key, value):
    """A Jaeger tag; Jaeger has no lists, so they become JSON text."""
    if isinstance(value, bool):
        return {"key": key, "type": "bool", "value": value}
    if isinstance(value, int):
        return {"key": key, "type": "int64", "value": value}
    if isinstance(value, float):
        return {"key": key, "type": "float64", "value": value}
    if isinstance(value, list):
        return {"key": key, "type": "string", "value": compact(value)}
    return {"key": key, "type": "string", "value": value}


def jaeger_span(agent, span):
    """A span as Jaeger JSON."""
    tags = {
        **span.attributes,
        "otel.scope.name": agent.scope,
        "otel.scope.version": agent.scope_version,
        "span.kind": KIND_NAMES[span.kind],
    }
    references = []
    if span.parent_id:
        references.append(
            {"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": span.parent_id}
        )
    return {
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": span.name,
        "references": references,
        "startTime": span.start,
        "duration": span.end - span.start,
        "tags": [jaeger_tag(key, value) for key, value in tags.items()],
        "logs": [],
        "processID": "p1",
        "warnings": None,
    }


def jaeger_document(agent, trace):
    """The answer of Jaeger's HTTP API for one trace."""
    process = {
        "serviceName": agent.service,
        "tags": [jaeger_tag("telemetry.sdk.language", "python")],
    }
    data = {
        "traceID": trace.trace_id,
        "spans": [jaeger_span(agent, span) for span in trace.spans],
        "processes": {"p1": process},
        "warnings": None,
    }
    return {"data": [data], "total": 0, "limit": 0, "offset": 0, "errors": None}


# --- The file formats: ADK eval sets -----------------------------------------


def expected_invocation(number, turn):
    """The invocation which an eval set expects for a turn."""
    tool_uses = [{"name": tool.name, "args": tool.arguments} for tool in turn.tools]
    return {
        "invocation_id": f"turn-{number}",
        "user_content": {"role": "user", "parts": [{"text": turn.user}]},
        "final_response": {"role": "model", "parts": [{"text": turn.expected_answer}]},
        "intermediate_data": {"tool_uses": tool_uses},
    }


def eval_set(name, description, eval_id, turns):
    """An eval set with one case."""
    conversation = [expected_invocation(number, turn) for number, turn in enumerate(turns, 1)]
    return {
        "eval_set_id": name,
        "name": name,
        "description": description,
        "eval_cases": [{"eval_id": eval_id, "conversation": conversation}],
    }


def regressed(turn):
    """The travel turn with expectations which the recording does not meet.

    The train search is expected to have an earlier limit, and the trip is
    expected to be saved, which the agent did not do.
    """
    arguments = {**SEARCH_TRAINS.arguments, "depart_before": "09:00"}
    earlier = replace(SEARCH_TRAINS, arguments=arguments)
    save = ToolCall("save_itinerary", {"title": "Vienna to Ljubljana"}, {}, milliseconds=0)
    return replace(turn, model_calls=(requests(0, 0, 0, earlier, SEARCH_HOTELS, save),))


# --- The files ---------------------------------------------------------------


def write_json(name, document):
    """Writes a pretty-printed JSON file."""
    text = json.dumps(document, ensure_ascii=False, indent=1)
    (HERE / name).write_text(text + "\n", encoding="utf-8", newline="\n")


def write_json_lines(name, documents):
    """Writes one compact document a line, as the Collector's file exporter does."""
    lines = [
        json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
        for document in documents
    ]
    (HERE / name).write_text("".join(lines), encoding="utf-8", newline="\n")


def write_travel():
    """An ADK agent, with an eval set that passes and one that does not."""
    trace = Trace("adk-travel", microseconds(2025, 3, 10, 8, 42, 17))
    record_adk_turn(trace, TRAVEL_AGENT, TRAVEL_TURN)
    write_json("adk-travel.json", otlp_traces(TRAVEL_AGENT, trace.spans))
    write_json(
        "adk-travel.eval.json",
        eval_set(
            "adk-travel",
            "A train and a hotel for a short trip.",
            "vienna-to-ljubljana",
            [TRAVEL_TURN],
        ),
    )
    write_json(
        "adk-travel-regressed.eval.json",
        eval_set(
            "adk-travel-regressed",
            "The same trip, with tool calls which the recorded agent did not make.",
            "vienna-to-ljubljana",
            [regressed(TRAVEL_TURN)],
        ),
    )


def write_support():
    """An agent with the messages in the attributes of its spans."""
    trace = Trace("langchain-support", microseconds(2025, 3, 11, 10, 5, 3))
    record_genai_turn(trace, SUPPORT_AGENT, SUPPORT_TURN, ContentInAttributes())
    write_json("langchain-support.json", otlp_traces(SUPPORT_AGENT, trace.spans))
    write_json(
        "langchain-support.eval.json",
        eval_set(
            "langchain-support",
            "A damaged item is replaced after the order was checked.",
            "cracked-teapot",
            [SUPPORT_TURN],
        ),
    )


def write_library():
    """An agent with its spans in one file and its messages in another."""
    trace = Trace("openai-logs", microseconds(2025, 3, 11, 15, 30, 44))
    logs = ContentInLogs()
    record_genai_turn(trace, LIBRARY_AGENT, LIBRARY_TURN, logs)
    finished = sorted(trace.spans, key=lambda span: span.end)
    write_json_lines(
        "openai-logs/traces.jsonl",
        [otlp_traces(LIBRARY_AGENT, batch) for batch in batches(finished, 4)],
    )
    write_json_lines(
        "openai-logs/logs.jsonl",
        [otlp_logs(LIBRARY_AGENT, batch) for batch in batches(logs.records, 6)],
    )
    write_json(
        "openai-logs.eval.json",
        eval_set(
            "openai-logs",
            "Two titles are looked up and the free one is reserved.",
            "reserve-free-title",
            [LIBRARY_TURN],
        ),
    )


def write_bank():
    """A conversation of three turns, each a trace of its own."""
    conversation_id = "conv-" + derived_id(16, "conversation", "multi-turn-bank")
    starts = [
        microseconds(2025, 3, 27, 18, 20, 5),
        microseconds(2025, 3, 27, 18, 20, 41),
        microseconds(2025, 3, 27, 18, 21, 30),
    ]
    spans = []
    history = []
    for number, (turn, start) in enumerate(zip(BANK_TURNS, starts), 1):
        trace = Trace(f"multi-turn-bank/{number}", start)
        history = record_genai_turn(
            trace, BANK_AGENT, turn, ContentInAttributes(), history, conversation_id
        )
        spans += trace.spans
    write_json("multi-turn-bank.json", otlp_traces(BANK_AGENT, spans))
    write_json(
        "multi-turn-bank.eval.json",
        eval_set(
            "multi-turn-bank",
            "A customer asks for a balance, moves money and asks again.",
            "cover-the-rent",
            BANK_TURNS,
        ),
    )


def write_kitchen():
    """An agent whose trace was fetched from Jaeger."""
    trace = Trace("jaeger-kitchen", microseconds(2025, 3, 14, 16, 11, 26))
    record_genai_turn(trace, KITCHEN_AGENT, KITCHEN_TURN, ContentInAttributes())
    write_json("jaeger-kitchen.json", jaeger_document(KITCHEN_AGENT, trace))
    write_json(
        "jaeger-kitchen.eval.json",
        eval_set(
            "jaeger-kitchen",
            "A supper is planned from what the fridge holds.",
            "supper-for-six",
            [KITCHEN_TURN],
        ),
    )


def main():
    """Writes every file."""
    (HERE / "openai-logs").mkdir(exist_ok=True)
    write_travel()
    write_support()
    write_library()
    write_bank()
    write_kitchen()


if __name__ == "__main__":
    main()
