"""Following a run: server-sent events, which the generated client knows only as text."""

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
"""How often in a row a connection may fail before that is reported."""

PAUSE_S = 2.0
"""How long to wait before connecting again when nothing has arrived."""

SILENCE_S = 45.0
"""How long a stream may say nothing; an idle one sends a comment every 15 seconds."""


def watch_run(client: AuthenticatedClient | Client, run_id: UUID | str) -> Iterator[RunEvent]:
    """What happened to a run and what happens until it ends, each event once and in order.

    A stream that breaks is taken up after the last event seen. A request that is refused raises `UnexpectedStatus`,
    whose content is the problem document.
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
    """The data of each message of a stream; comments, which keep idle connections open, have none."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif line == "" and data:
            yield "\n".join(data)
            data.clear()
