"""Drives a live service with the generated client."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from agentevals_client.api.health import get_readiness
from agentevals_client.api.runs import (
    cancel_run,
    delete_run,
    get_run,
    list_results,
    list_runs,
    retry_run,
    submit_run,
)
from agentevals_client.client import AuthenticatedClient, Client
from agentevals_client.errors import UnexpectedStatus
from agentevals_client.models import (
    BuiltinEvaluator,
    BuiltinEvaluatorType,
    CodeEvaluator,
    CodeEvaluatorConfigType0,
    CodeEvaluatorType,
    EvalConfig,
    EventKind,
    GetRunInclude,
    Health,
    InlineTarget,
    InlineTargetInline,
    InlineTargetKind,
    Problem,
    ResultPage,
    ResultStatus,
    Run,
    RunEnvelope,
    RunPage,
    RunSpec,
    RunSpecEvalSetType0,
    RunStatus,
    RunSubmission,
    RunSubmissionLabelsType0,
    Summary,
    Verdict,
)
from agentevals_client.types import UNSET
from agentevals_events import watch_run

SAMPLES = Path(__file__).parents[3] / "samples"


def sample(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SAMPLES / name).read_text())
    return document


def target() -> InlineTarget:
    return InlineTarget(InlineTargetInline.from_dict(sample("adk-travel.json")), InlineTargetKind.INLINE)


def submission(golden: str = "adk-travel.eval.json", threshold: float = 0.5, **labels: str) -> RunSubmission:
    """A run that passes, unless it is compared with another golden."""
    evaluator = BuiltinEvaluator("tool_trajectory_avg_score", BuiltinEvaluatorType.BUILTIN, threshold=threshold)
    eval_set = RunSpecEvalSetType0.from_dict(sample(golden))
    spec = RunSpec(target(), eval_set=eval_set, eval_config=EvalConfig([evaluator]))
    return RunSubmission(spec, run_id=uuid4(), labels=RunSubmissionLabelsType0.from_dict(labels))


def slow() -> RunSubmission:
    """A run that takes its time."""
    config = CodeEvaluatorConfigType0.from_dict({"seconds": 60})
    evaluator = CodeEvaluator("slow", "slow.py", CodeEvaluatorType.CODE, config=config)
    return RunSubmission(RunSpec(target(), eval_config=EvalConfig([evaluator])), run_id=uuid4())


def finished(api: AuthenticatedClient, body: RunSubmission) -> Run:
    """Submits a run and waits until it has ended."""
    answer = submit_run.sync_detailed(client=api, body=body, prefer="wait=30")
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.content
    assert isinstance(answer.parsed, RunEnvelope)
    assert answer.headers["Location"] == f"/api/runs/{answer.parsed.data.run_id}"
    return answer.parsed.data


def kinds(api: AuthenticatedClient, run_id: UUID) -> list[EventKind]:
    return [event.event for event in watch_run(api, run_id)]


def test_a_run_is_submitted_waited_for_and_looked_at(api: AuthenticatedClient) -> None:
    body = submission(branch="main")
    run = finished(api, body)
    assert (run.status, run.verdict) == (RunStatus.SUCCEEDED, Verdict.PASSED)
    assert isinstance(run.summary, Summary) and run.summary.result_counts.passed == 1
    assert run.progress is None and run.error is None and run.finished_at is not None

    whole = get_run.sync(client=api, run_id=run.run_id, include=GetRunInclude.SPEC)
    assert isinstance(whole, RunEnvelope) and whole.data.spec is not UNSET
    assert whole.data.to_dict()["spec"]["evalSet"] == sample("adk-travel.eval.json")
    assert whole.data.labels.to_dict() == {"branch": "main"}

    first = get_run.sync_detailed(client=api, run_id=run.run_id)
    again = get_run.sync_detailed(client=api, run_id=run.run_id, if_none_match=first.headers["ETag"])
    assert again.status_code == HTTPStatus.NOT_MODIFIED


def test_the_results_say_why_a_run_did_not_pass(api: AuthenticatedClient) -> None:
    run = finished(api, submission("adk-travel-regressed.eval.json"))
    assert run.verdict == Verdict.FAILED
    page = list_results.sync(client=api, run_id=run.run_id)
    assert isinstance(page, ResultPage) and page.next_ is None
    [result] = page.data
    assert (result.status, result.score, result.per_invocation_scores) == (ResultStatus.FAILED, 0.0, [0.0])
    assert "save_itinerary" in json.dumps(result.to_dict()["details"])


def test_a_list_is_read_page_by_page_newest_first(api: AuthenticatedClient) -> None:
    series = str(uuid4())
    ids = [finished(api, submission(series=series)).run_id for _ in range(3)]
    pages: list[list[UUID]] = []
    cursor: str | None = None
    while cursor or not pages:
        page = list_runs.sync(client=api, label=[f"series={series}"], limit=2, cursor=cursor or UNSET)
        assert isinstance(page, RunPage)
        pages.append([run.run_id for run in page.data])
        cursor = page.next_
    assert pages == [[ids[2], ids[1]], [ids[0]]]

    none = list_runs.sync(client=api, label=[f"series={series}"], status=[RunStatus.FAILED, RunStatus.QUEUED])
    assert isinstance(none, RunPage) and none.data == []


def test_an_id_stands_for_one_piece_of_work(api: AuthenticatedClient) -> None:
    body = submission()
    run = finished(api, body)
    assert finished(api, body).run_id == run.run_id

    other = submission(threshold=0.9)
    other.run_id = run.run_id
    problem = submit_run.sync(client=api, body=other)
    assert isinstance(problem, Problem)
    assert (problem.status, problem.code) == (409, "run_conflict")
    assert isinstance(problem.persisted, Run) and problem.persisted.run_id == run.run_id

    anonymous = submission()
    anonymous.run_id = UNSET
    key = str(uuid4())
    answers = [submit_run.sync(client=api, body=anonymous, idempotency_key=key) for _ in range(2)]
    ids = {answer.data.run_id for answer in answers if isinstance(answer, RunEnvelope)}
    assert len(ids) == 1


def test_events_of_a_run_are_told_in_order_each_once(api: AuthenticatedClient) -> None:
    accepted = submit_run.sync(client=api, body=submission())
    assert isinstance(accepted, RunEnvelope)
    events = list(watch_run(api, accepted.data.run_id))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    told = [event.event for event in events if event.event != EventKind.RUN_PROGRESS]
    expected = [EventKind.RUN_QUEUED, EventKind.RUN_STARTED, EventKind.RESULT_CREATED, EventKind.RUN_SUCCEEDED]
    assert told == expected
    assert events[-1].verdict == Verdict.PASSED


def test_a_running_run_is_cancelled_retried_and_deleted(api: AuthenticatedClient) -> None:
    accepted = submit_run.sync(client=api, body=slow())
    assert isinstance(accepted, RunEnvelope)
    run_id = accepted.data.run_id
    told = []
    for event in watch_run(api, run_id):
        told.append(event.event)
        if event.event == EventKind.RUN_STARTED:
            early = delete_run.sync(client=api, run_id=run_id)
            assert isinstance(early, Problem) and early.code == "run_not_final"
            cancelled = cancel_run.sync(client=api, run_id=run_id)
            assert isinstance(cancelled, RunEnvelope) and cancelled.data.cancel_requested
    assert told[-1] == EventKind.RUN_CANCELLED
    after = get_run.sync(client=api, run_id=run_id)
    assert isinstance(after, RunEnvelope)
    assert (after.data.status, after.data.verdict) == (RunStatus.CANCELLED, None)

    assert retry_run.sync_detailed(client=api, run_id=run_id).status_code == HTTPStatus.ACCEPTED
    cancel_run.sync(client=api, run_id=run_id)
    assert kinds(api, run_id)[-1] == EventKind.RUN_CANCELLED

    assert delete_run.sync_detailed(client=api, run_id=run_id).status_code == HTTPStatus.NO_CONTENT
    with pytest.raises(UnexpectedStatus) as gone:
        kinds(api, run_id)
    assert Problem.from_dict(json.loads(gone.value.content)).code == "run_not_found"


def test_refusals_are_problem_documents(api: AuthenticatedClient, stranger: AuthenticatedClient, anyone: Client) -> None:
    missing = get_run.sync_detailed(client=api, run_id=uuid4())
    assert isinstance(missing.parsed, Problem)
    assert (missing.parsed.status, missing.parsed.code) == (404, "run_not_found")
    assert missing.parsed.request_id == missing.headers["X-Request-Id"]

    refused = submit_run.sync_detailed(client=api, body=submission(threshold=2))
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert isinstance(refused.parsed, Problem) and refused.parsed.status == 422
    assert [fault.pointer for fault in refused.parsed.errors] == ["/spec/evalConfig/evaluators/0/threshold"]

    unknown = list_runs.sync(client=stranger)
    assert isinstance(unknown, Problem) and unknown.code == "unauthenticated"
    ready = get_readiness.sync(client=anyone)
    assert isinstance(ready, Health) and ready.status == "ok"
