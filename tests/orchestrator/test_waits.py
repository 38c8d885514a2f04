"""A tier that is away for long, and what callers see of it; the waiting outlives the orchestrator."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import grpc
import pytest

from tests.orchestrator.bench import ENDED, Client
from tests.orchestrator.processes import Process
from tests.orchestrator.scripted import Script, wait_until
from throughline.domain.errors import DependencyUnavailable, InvalidInput, StorageFull, ThroughlineError
from throughline.domain.time import NS_PER_SECOND
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import STAGE_REVIEW, STAGE_TRACK

AWAY = DependencyUnavailable("the tier has a day off")


def waiting(client: Client, job_id: str, attempts: int = 1) -> pb.Waiting:
    """What the job waits for, once so many attempts have failed."""
    wait_until(
        lambda: any(each.attempts >= attempts for each in client.job(job_id).waiting), what="it waits for nothing"
    )
    (found,) = client.job(job_id).waiting
    return found


def test_a_tier_that_is_away_is_shown_with_since_when_and_until_when(client: Client, script: Script) -> None:
    script.fail("ReviewPairs", *[AWAY] * 6)
    job_id = client.submit()
    found = waiting(client, job_id, attempts=2)
    job = client.job(job_id)
    assert (found.step, found.stage, found.camera) == ("send pairs", STAGE_REVIEW, "")
    assert "a day off" in found.reason
    assert job.created_ns < found.since_ns < found.next_attempt_ns
    watched = client.watch(job_id, until=(pb.JOB_STATE_WAITING_FOR_REVIEW,))
    assert any(each.waiting for each in watched)
    assert not watched[-1].waiting
    assert len(script.reviews) == 1


def test_pauses_grow_to_the_longest_and_differ(client: Client, script: Script) -> None:
    script.fail("ReviewPairs", *[AWAY] * 12)
    job_id = client.submit()
    due: set[int] = set()

    def is_over() -> bool:
        due.update(each.next_attempt_ns for each in client.job(job_id).waiting)
        return bool(script.reviews)

    wait_until(is_over, what="the pairs were not sent")
    pauses = [(after - before) / NS_PER_SECOND for before, after in pairwise(sorted(due))]
    assert all(0.1 < pause < 3.0 for pause in pauses[-3:])
    assert len(set(pauses)) > 1


@pytest.mark.parametrize("error", [AWAY, StorageFull("no room left in /workspace; free some there")])
def test_a_camera_that_waits_is_named(client: Client, script: Script, error: ThroughlineError) -> None:
    script.fail("Track/cam2", *[error] * 4)
    job_id = client.submit()
    found = waiting(client, job_id)
    assert (found.step, found.stage, found.camera) == ("track", STAGE_TRACK, "cam2")
    assert str(error) in found.reason
    client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)


def test_patience_ends_with_how_often_and_how_long_it_was_tried(client: Client, script: Script) -> None:
    script.fail("Track/cam1", *[DependencyUnavailable("Triton is gone")] * 1000)
    job = client.until(client.submit())
    assert job.state == pb.JOB_STATE_FAILED
    assert "Triton is gone; given up after" in job.error
    assert "attempts in" in job.error
    assert not job.waiting


def test_a_tier_that_refuses_fails_the_job_at_once(client: Client, script: Script) -> None:
    script.fail("ReviewPairs", InvalidInput("these are no pairs"))
    job = client.until(client.submit())
    assert (job.state, len(script.reviews)) == (pb.JOB_STATE_FAILED, 0)
    assert "these are no pairs" in job.error


@pytest.mark.parametrize(("method", "step"), [("ReviewPairs", "send pairs"), ("TimelineReady", "alert")])
def test_somebody_outside_who_is_too_busy_is_waited_for(client: Client, script: Script, method: str, step: str) -> None:
    script.fail(method, *[grpc.StatusCode.RESOURCE_EXHAUSTED] * 12)
    job_id = client.submit()
    if method == "TimelineReady":
        client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
        client.answer_all(script, job_id)
    found = waiting(client, job_id, attempts=9)
    assert found.step == step
    assert "too many calls; it has too much to do" in found.reason
    if method == "ReviewPairs":
        client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
        client.answer_all(script, job_id)
    job = client.until(job_id)
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    assert set(script.effects.values()) == {1}


UNEXPLAINED = ThroughlineError("internal error; the log explains it")


@pytest.mark.parametrize("method", ["ListFootage", "Track/cam1", "RenderTimeline", "ReviewPairs", "TimelineReady"])
def test_an_error_that_says_nothing_is_waited_out(client: Client, script: Script, method: str) -> None:
    script.fail(method, *[UNEXPLAINED] * 3)
    job_id = client.submit()
    job = client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW, *ENDED)
    assert job.state == pb.JOB_STATE_WAITING_FOR_REVIEW, job.error
    client.answer_all(script, job_id)
    assert client.until(job_id).state == pb.JOB_STATE_SUCCEEDED
    assert not script.failures[method]


@pytest.mark.parametrize("method", ["Track/cam1", "ReviewPairs"])
def test_an_error_that_says_nothing_is_met_so_often_and_no_more(client: Client, script: Script, method: str) -> None:
    script.fail(method, *[UNEXPLAINED] * 1000)
    job = client.until(client.submit())
    assert job.state == pb.JOB_STATE_FAILED
    assert f"{UNEXPLAINED}; given up after 8 attempts" in job.error


def test_a_cancelled_job_waits_for_nothing(client: Client, script: Script) -> None:
    script.fail("ReviewPairs", *[AWAY] * 1000)
    job_id = client.submit()
    waiting(client, job_id)
    client.cancel(job_id)
    wait_until(lambda: not client.job(job_id).waiting, what="it waits on")
    assert client.job(job_id).state == pb.JOB_STATE_CANCELLED


@pytest.fixture
def patient(tmp_path: Path, services: str) -> Iterator[Process]:
    """An orchestrator whose pauses are longer than its restarts."""
    process = Process(tmp_path, services, retry_first_seconds=20, retry_most_seconds=20)
    yield process
    process.kill()


def test_waiting_goes_on_where_it_was_after_a_restart(patient: Process, script: Script) -> None:
    script.fail("ReviewPairs", AWAY)
    job_id = patient.client.submit()
    before = waiting(patient.client, job_id)
    patient.restart()
    after = waiting(patient.client, job_id)
    assert (after.since_ns, after.attempts, after.next_attempt_ns) == (before.since_ns, 1, before.next_attempt_ns)
    assert script.count("ReviewPairs") == 1, "nobody is asked before the time has come"
    patient.client.watch(job_id, until=(pb.JOB_STATE_WAITING_FOR_REVIEW,), seconds=90)
    assert script.count("ReviewPairs") == 2
