"""Hooks of schemathesis for `just api-fuzz`: constraints of the API that its document cannot express."""

from __future__ import annotations

import re
from typing import Any

import schemathesis

EVENT = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["id", "data"],
}

MEANING = {
    "submit_run": r"""
        /labels/.*                                      # names have an alphabet, values no control characters
        | /(deadlineS|maxAttempts)                      # the operator sets the limits
        | /spec/target/(inline|baseUrl)(/.*)?           # a trace that can be read; an address that is allowed
        | /spec/evalSet(/.*)?                           # described by ADK
        | /spec/evalConfig/evaluators(/\d+(/(name|path))?)?    # metrics there are, each once; files there are
        | /spec/evalConfig/evaluators/\d+/(config|env|trajectoryPaths|trajectoryTools)(/.*)?
        | /spec/(credentialRefs|context/headers|sinks)(/.*)?    # what the operator allows
        """,
    "evaluate_json": r"""
        /(traces|evalSet|credentialRefs)(/.*)?
        | /config/evaluators(/\d+(/(name|path|config|env|trajectoryPaths|trajectoryTools)(/.*)?)?)?
        """,
    "redeliver_run": r"/ids/\d+",  # deliveries of this very run
}
"""Members of requests whose constraints the document cannot express, by operation: patterns of JSON pointers."""


@schemathesis.hook
def before_load_schema(_context: Any, document: dict[str, Any]) -> None:
    """Replaces the schemas of streams: schemathesis checks each event, the document describes the text."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                if stream := response.get("content", {}).get("text/event-stream"):
                    stream["schema"] = EVENT
                    stream.pop("examples", None)


@schemathesis.check
def a_valid_body_is_refused_only_for_what_schemas_cannot_express(_context: Any, response: Any, case: Any) -> None:
    """If a body that fits its schema is refused, its faults are in members of `MEANING`."""
    meaning = MEANING.get(case.operation.definition.raw.get("operationId"))
    if meaning is None or response.status_code != 422 or not case.meta.generation.mode.is_positive:
        return
    pattern = re.compile(meaning, re.VERBOSE | re.DOTALL)
    unexpected = [fault for fault in response.json()["errors"] if not pattern.fullmatch(fault.get("pointer", ""))]
    assert not unexpected, f"the document allows these members, but the service refuses them: {unexpected}"
