"""CancelJob while real services are at work: they stop within seconds, and what is done stays."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.whole.deployment import Theatre
from throughline.cli.connection import orchestrator
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import (
    STAGE_ALERT,
    STAGE_INGEST,
    STAGE_LIST,
    STAGE_LOCATE,
    STAGE_RANK,
    STAGE_RENDER_PAIRS,
    STAGE_REVIEW,
    STAGE_TRACK,
)

_SECONDS = 8.0
"""More than the two or three that it takes: the machine may be busy."""


def cancelled(theatre: Theatre, job_id: str, workers: tuple[str, ...]) -> pb.Job:
    """Cancel a job, and wait until those who work for it rest."""
    began = time.monotonic()
    with orchestrator(theatre.deployment.home) as stub:
        request = pb.CancelJobRequest(request_id=f"cancel-{job_id}", job_id=job_id, reason="wrong person")
        assert stub.CancelJob(request, timeout=10).state == pb.JOB_STATE_CANCELLED
    while not all(theatre.rests(name) for name in workers):
        assert time.monotonic() - began < _SECONDS, f"{workers} work on"
    job = theatre.job(job_id)
    assert job is not None
    assert job.state == pb.JOB_STATE_CANCELLED
    assert ("cancelled", "wrong person") in [(incident.code, incident.message) for incident in job.incidents]
    return job


def test_cancelling_while_people_are_tracked(theatre: Theatre) -> None:
    reels, tracks = theatre.folders("reels"), theatre.folders("tracks")
    job_id = theatre.submit("cancel-track")
    theatre.wait(job_id, lambda job: any(each.stage == STAGE_TRACK and each.done for each in job.progress))
    cancelled(theatre, job_id, ("tracker", "triton"))
    assert theatre.folders("reels") > reels
    assert len(theatre.folders("tracks") - tracks) < len(theatre.store.clocks)


def test_cancelling_while_pairs_are_rendered(theatre: Theatre, undisturbed_job: pb.Job) -> None:
    job_id = theatre.submit("cancel-render", undisturbed_job.footage_uri, similarity_threshold=0.0)
    theatre.wait(job_id, lambda job: job.stage >= STAGE_RENDER_PAIRS and any(each.clip_uri for each in job.candidates))
    job = cancelled(theatre, job_id, ("renderer",))
    clips = [each.clip_uri for each in job.candidates if each.clip_uri]
    assert 0 < len(clips) < len(job.candidates)
    assert {uri.rsplit("/", 2)[1] for uri in clips} <= theatre.folders(f"jobs/{job_id}/pairs")
    assert len(theatre.folders(f"jobs/{job_id}/pairs")) < len(job.candidates)


@contextmanager
def frozen(theatre: Theatre, name: str) -> Iterator[None]:
    """While the block runs, a service's process stands still: it takes calls and answers none."""
    theatre.signal(name, signal.SIGSTOP)
    try:
        yield
    finally:
        theatre.signal(name, signal.SIGCONT)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("ingest", STAGE_LIST),
        ("tracker", STAGE_TRACK),
        ("renderer", STAGE_RENDER_PAIRS),
        ("tier", STAGE_REVIEW),
        ("alert", STAGE_ALERT),
    ],
    ids=["list", "track", "render_pairs", "review", "alert"],
)
def test_a_job_is_cancelled_though_the_service_it_waits_for_stands_still(
    theatre: Theatre, undisturbed_job: pb.Job, name: str, stage: int
) -> None:
    made = theatre.folders("reels"), theatre.folders("tracks")
    with frozen(theatre, name):
        job_id = theatre.submit(f"cancel-{name}", undisturbed_job.footage_uri)
        theatre.wait(job_id, lambda job: job.stage == stage)
        job = cancelled(theatre, job_id, ())
        assert job.stage == stage
    again = theatre.finished(theatre.submit(f"again-{name}", undisturbed_job.footage_uri))
    assert theatre.outcome(again) == theatre.outcome(undisturbed_job)
    assert (theatre.folders("reels"), theatre.folders("tracks")) == made, "finished work is found ready"


@pytest.mark.parametrize("stage", [STAGE_LOCATE, STAGE_RANK], ids=["locate", "rank"])
def test_cancelling_while_tracks_are_compared(theatre: Theatre, undisturbed_job: pb.Job, stage: int) -> None:
    for attempt in range(5):  # it is short: the job may get past it even so
        job_id = theatre.submit(f"cancel-{stage}-{attempt}", undisturbed_job.footage_uri)
        with frozen(theatre, "tracker"):
            while theatre.until(job_id, lambda _: True).stage < stage:  # the tracker runs for a moment at a time
                theatre.signal("tracker", signal.SIGCONT)
                time.sleep(0.05)
                theatre.signal("tracker", signal.SIGSTOP)
                time.sleep(0.3)
            job = cancelled(theatre, job_id, ())
        if job.stage == stage:
            break
    else:
        pytest.fail("no job was met while its tracks were compared")
    again = theatre.finished(theatre.submit(f"again-{stage}", undisturbed_job.footage_uri))
    assert theatre.outcome(again) == theatre.outcome(undisturbed_job)


def test_footage_whose_collating_was_cancelled_is_collated_by_the_next_job(
    theatre: Theatre, undisturbed_job: pb.Job
) -> None:
    for attempt in range(5):  # it is short: the job may be past it before the process stands still
        made = theatre.folders("reels")
        job_id = theatre.submit(f"cancel-collating-{attempt}")
        theatre.wait(job_id, lambda job: job.stage >= STAGE_INGEST)
        with frozen(theatre, "ingest"):
            job = cancelled(theatre, job_id, ())
        if job.stage == STAGE_INGEST:
            break
    else:
        pytest.fail("no job was met while its footage was collated")
    again = theatre.finished(theatre.submit("collated-again", job.footage_uri))
    assert theatre.outcome(again) == theatre.outcome(undisturbed_job)
    assert len(theatre.folders("reels") - made) == len(theatre.store.clocks)
