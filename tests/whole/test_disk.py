"""A disk that is full in each stage: the job says where and waits, nothing half-written counts, and it goes on once there is room."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests.faults.disk import Disk, mounted
from tests.whole.deployment import Theatre, staged
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import (
    STAGE_INGEST,
    STAGE_RENDER_PAIRS,
    STAGE_RENDER_TIMELINE,
    STAGE_TRACK,
)


@dataclass(frozen=True)
class Cramped:
    """A deployment whose workspace and records lie on small disks."""

    theatre: Theatre
    workspace: Disk
    records: Disk


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cramped]:
    folder = tmp_path_factory.mktemp("cramped")
    home = folder / "home"
    with mounted(home / "workspace") as workspace, mounted(home / "records") as records:
        database_url = f"sqlite:///{records.place / 'orchestrator.db'}"
        variables = {"THROUGHLINE_RETRY_MOST_SECONDS": "1"}
        with staged(folder, database_url=database_url, variables=variables) as theatre:
            yield Cramped(theatre, workspace, records)


@pytest.fixture(scope="module")
def roomy(cramped: Cramped) -> pb.Job:
    """A job that never was short of room, at its end."""
    return cramped.theatre.finished(cramped.theatre.submit("roomy"))


def short_of_room(theatre: Theatre, job_id: str, disk: Disk) -> None:
    """Return when the job waits for room on the disk, and says so."""
    words = f"no room left in {disk.place}"
    job = theatre.wait(job_id, lambda job: any(words in each.reason for each in job.waiting))
    assert job.waiting, f"the job ended without waiting: {job.error}"
    waiting = next(each for each in job.waiting if words in each.reason)
    assert "free some there" in waiting.reason
    assert waiting.since_ns < waiting.next_attempt_ns


def test_a_job_waits_for_room_in_every_stage_and_says_where(cramped: Cramped, roomy: pb.Job) -> None:
    theatre, disk = cramped.theatre, cramped.workspace
    disk.fill()
    job_id = theatre.submit("full")
    short_of_room(theatre, job_id, disk)
    disk.free()
    for stage in (STAGE_INGEST, STAGE_TRACK, STAGE_RENDER_PAIRS, STAGE_RENDER_TIMELINE):
        theatre.wait(job_id, lambda job, stage=stage: job.stage >= stage)  # type: ignore[misc]
        disk.fill()
        short_of_room(theatre, job_id, disk)
        disk.free()
    job = theatre.finished(job_id)
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    assert not job.waiting
    assert theatre.outcome(job) == theatre.outcome(roomy)
    assert theatre.effects(job) == theatre.effects(roomy)


def test_a_job_outlives_records_that_cannot_be_written(cramped: Cramped, roomy: pb.Job) -> None:
    theatre, disk = cramped.theatre, cramped.records
    log = theatre.deployment.home / "logs" / "orchestrator.log"
    job_id = theatre.submit("full-records")
    theatre.wait(job_id, lambda job: job.stage >= STAGE_TRACK)
    told = log.stat().st_size
    with closing(sqlite3.connect(disk.place / "orchestrator.db", timeout=30)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else it would write on in the room that it has already
    disk.fill()
    deadline = time.monotonic() + 60
    while b"disk is full" not in log.read_bytes()[told:]:
        assert time.monotonic() < deadline, "nothing was written, or there was room for it"
        time.sleep(0.05)
    time.sleep(2)  # for everyone who writes to meet it
    disk.free()
    assert theatre.outcome(theatre.finished(job_id)) == theatre.outcome(roomy)
