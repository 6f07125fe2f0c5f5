"""Following a run: reads server-sent events, which the generated client returns as text."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from uuid import UUID

import httpx

from agentevals_client.client import AuthenticatedClient, Client
from agentevals_client.errors import UnexpectedStatus
from agentevals_client.models import RunEvent

ATTEMPTS = 5
"""Failed connections in a row after which the failure is raised."""

PAUSE_S = 2.0
"""Pause before the next connection if the last one brought no event."""

SILENCE_S = 45.0
"""Longest silence of a stream before it counts as lost; an idle one sends a comment every 15 seconds."""


def watch_run(client: AuthenticatedClient | Client, run_id: UUID | str) -> Iterator[RunEvent]:
    """Yields the events of a run from its first to its last, each once and in order.

    After a lost connection it continues behind the last event seen. Raises `UnexpectedStatus`, with the problem
    document as its content, if the service refuses the request.
    """
    last, fruitless = 0, 0
    while True:
        if fruitless > 0:
            time.sleep(PAUSE_S)
        fruitless += 1
        try:
            timeout = httpx.Timeout(SILENCE_S)
            path, headers = f"/api/runs/{run_id}/events", {"Last-Event-ID": str(last)}
            with client.get_httpx_client().stream("GET", path, headers=headers, timeout=timeout) as response:
                if response.status_code == httpx.codes.NO_CONTENT:
                    return  # the run is over and all its events were seen
                if response.status_code != httpx.codes.OK:
                    raise UnexpectedStatus(response.status_code, response.read())
                for text in _messages(response.iter_lines()):
                    event = RunEvent.from_dict(json.loads(text))
                    last, fruitless = event.seq, 0
                    yield event
        except httpx.TransportError:
            if fruitless >= ATTEMPTS:
                raise


def _messages(lines: Iterator[str]) -> Iterator[str]:
    """Yields the data of each message; skips comments, which only keep idle connections open."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif line == "" and data:
            yield "\n".join(data)
            data.clear()
