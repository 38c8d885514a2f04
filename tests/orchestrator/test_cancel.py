"""Cancelling in every stage: what runs stops within seconds, what was done stays."""

from __future__ import annotations

import time

import pytest

from tests.orchestrator.bench import Client
from tests.orchestrator.scripted import Script, wait_until
from throughline.domain.errors import FailedPrecondition, InvalidInput, NotFound
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import VERDICT_VALID

STAGES = [
    "ListFootage",
    "Collate",
    "Track",
    "LocateQuery",
    "RankCandidates",
    "RenderPairs",
    "ReviewPairs",
    "RenderTimeline",
    "TimelineReady",
]


@pytest.mark.parametrize("stage", STAGES)
def test_cancelling_stops_the_stage_at_work(client: Client, script: Script, stage: str) -> None:
    script.hold(stage)
    if stage in ("RenderTimeline", "TimelineReady"):
        script.candidates = 0
    job_id = client.submit()
    script.await_request(stage)
    assert client.cancel(job_id, "no longer needed").state == pb.JOB_STATE_CANCELLED
    with script.changed:
        assert script.changed.wait_for(lambda: stage in script.stopped, 20)
    requests = list(script.requests)
    job = client.job(job_id)
    assert job.state == pb.JOB_STATE_CANCELLED
    assert ("cancelled", "no longer needed") in [(incident.code, incident.message) for incident in job.incidents]
    assert client.cancel(job_id).state == pb.JOB_STATE_CANCELLED
    script.release()
    time.sleep(0.3)  # nothing may come: there is no condition to wait for
    assert script.requests == requests
    if stage == "TimelineReady":
        assert client.job(job_id).timeline.film_uri


def test_a_waiting_job_is_cancelled_and_its_answers_come_late(client: Client, script: Script) -> None:
    job_id = client.submit()
    client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
    client.cancel(job_id)
    response = client.answer(script.reviews[0], {"pair0": VERDICT_VALID})
    assert (response.accepted, response.late) == (0, 1)
    job = client.job(job_id)
    assert job.state == pb.JOB_STATE_CANCELLED
    assert job.review_deadline_ns == 0
    assert len(job.candidates) == 3
    with pytest.raises(FailedPrecondition):
        client.rebuild(job_id)


def test_cancelling_an_ended_job_changes_nothing(client: Client, script: Script) -> None:
    script.candidates = 0
    job_id = client.submit()
    client.until(job_id)
    assert client.cancel(job_id, "too late").state == pb.JOB_STATE_SUCCEEDED
    assert "cancelled" not in [incident.code for incident in client.job(job_id).incidents]


def test_a_cancelled_job_leaves_its_queue_to_others(client: Client, script: Script) -> None:
    script.hold("Track")
    jobs = [client.submit() for _ in range(3)]  # nine cameras, four at once
    script.await_request("Track", 4)
    for job_id in jobs[:2]:
        client.cancel(job_id)
    script.release()
    assert client.until(jobs[2], pb.JOB_STATE_WAITING_FOR_REVIEW)
    wait_until(lambda: client.job(jobs[0]).state == pb.JOB_STATE_CANCELLED)


def test_only_known_jobs_can_be_cancelled(client: Client, script: Script) -> None:
    with pytest.raises(NotFound):
        client.cancel("nobody")
    with pytest.raises(InvalidInput, match="reason"):
        client.cancel("nobody", "a" * 1001)
