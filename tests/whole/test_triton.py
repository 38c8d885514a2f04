"""Triton slow, away for a while, and away for good, under whole jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.way import Way
from tests.whole.deployment import Effects, Outcome, Theatre, staged
from throughline.cli.deployment import Deployment
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import STAGE_TRACK

_AWAY_SECONDS = 6.0
"""Longer than one request is tried; within the patience of the stage."""


@dataclass(frozen=True)
class Far:
    """A deployment whose tracker reaches Triton over a way that can be closed."""

    theatre: Theatre
    way: Way
    peace: pb.Job
    """A job to which nothing happened."""


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    folder = tmp_path_factory.mktemp("far")
    with Way(lambda: triton_of(folder / "home")) as way:
        variables = {
            "THROUGHLINE_TRITON_TARGET": way.address,
            "THROUGHLINE_TRITON_PATIENCE_SECONDS": "2",
            "THROUGHLINE_STAGE_PATIENCE_SECONDS": "15",
            "THROUGHLINE_RETRY_MOST_SECONDS": "1",
        }
        with staged(folder, variables=variables) as theatre:
            yield Far(theatre, way, theatre.finished(theatre.submit("peace")))


def triton_of(home: Path) -> str:
    return Deployment.load(home).addresses["triton"]


def begun(theatre: Theatre, name: str, rate: float) -> str:
    """A job whose people are being tracked, at a rate that nothing was detected at yet."""
    job_id = theatre.submit(name, analysis_rate=rate)
    theatre.wait(job_id, lambda job: any(each.stage == STAGE_TRACK and each.done for each in job.progress))
    return job_id


def test_a_slow_triton_makes_a_job_slower_and_nothing_else(far: Far) -> None:
    far.way.delay_seconds = 0.1
    job = far.theatre.finished(far.theatre.submit("slow", far.peace.footage_uri, analysis_rate=4))
    far.way.delay_seconds = 0.0
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    assert not any(each.code == "waiting_for_service" for each in job.incidents)


def test_a_job_goes_on_when_triton_is_back(far: Far) -> None:
    job_id = begun(far.theatre, "away", 5)
    far.way.close()
    began = time.monotonic()
    job = far.theatre.wait(job_id, lambda job: any(far.way.address in each.reason for each in job.waiting))
    assert job.waiting, job.error
    while time.monotonic() - began < _AWAY_SECONDS:
        time.sleep(0.1)
    far.way.open()
    job = far.theatre.finished(job_id)
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error


def test_a_job_outlives_a_triton_that_is_killed_for_20_seconds(
    theatre: Theatre, undisturbed: tuple[Outcome, Effects]
) -> None:
    job_id = theatre.submit("killed-for-long")
    theatre.wait(job_id, lambda job: any(each.stage == STAGE_TRACK and each.done for each in job.progress))
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with suppress(AssertionError, ProcessLookupError):  # it is down already
            theatre.kill("triton")
        time.sleep(0.1)
    struck = theatre.job(job_id)
    assert struck is not None
    assert struck.stage == STAGE_TRACK
    job = theatre.finished(job_id)
    theatre.recovered()
    assert theatre.outcome(job) == undisturbed[0]


def test_a_job_whose_triton_never_comes_back_fails_and_names_it(far: Far) -> None:
    job_id = begun(far.theatre, "gone", 6)
    far.way.close()
    job = far.theatre.finished(job_id)
    far.way.open()
    assert job.state == pb.JOB_STATE_FAILED
    assert f"Triton at {far.way.address} cannot be used" in job.error
    assert "given up after" in job.error
