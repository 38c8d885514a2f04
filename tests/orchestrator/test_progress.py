"""Rates, seconds left, and how seldom the records are told."""

from __future__ import annotations

from pathlib import Path

from tests.orchestrator.bench import request
from throughline.orchestrator.jobs import Jobs, Submission
from throughline.orchestrator.progress import Meter, Subject
from throughline.orchestrator.view import View
from throughline.storage.records import Records
from throughline.v1.common_pb2 import STAGE_TRACK, Progress


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_the_rate_is_that_of_the_last_seconds_and_the_records_are_told_once_a_second(tmp_path: Path) -> None:
    records = Records.open(f"sqlite:///{tmp_path}/records.db")
    jobs, clock = Jobs(records), Clock()
    job_id, _ = jobs.create(Submission(request(), "", "{}", "cam1", ""))
    meter = Meter(records, Subject(job_id, "track", "cam1"), clock)

    def shown() -> Progress:
        return View(records).job(job_id).progress[0]

    meter.update(0, 1000, "frames")
    assert (shown().done, shown().rate, shown().seconds_left) == (0, 0, -1)
    version = jobs.version(job_id)
    for _ in range(9):  # ten frames every tenth of a second
        clock.seconds += 0.1
        meter.update(int((clock.seconds - 100) * 100 + 0.5), 1000, "frames")
    assert jobs.version(job_id) == version
    clock.seconds = 101.0
    meter.update(100, 1000, "frames")
    assert jobs.version(job_id) == version + 1
    assert (shown().stage, shown().camera, shown().unit) == (STAGE_TRACK, "cam1", "frames")
    assert (shown().done, round(shown().rate), round(shown().seconds_left)) == (100, 100, 9)

    clock.seconds = 141.0  # slower from here on: one frame a second
    meter.update(140, 1000, "frames")
    clock.seconds = 151.0
    meter.update(150, 1000, "frames")
    assert round(shown().rate) == 1
    meter.update(10, 1000, "frames")  # the stage died and began anew
    assert meter.rate == 0
    clock.seconds = 152.0
    meter.update(1000, 1000, "frames")
    meter.finish()
    assert (shown().done, shown().seconds_left) == (1000, 0)
    records.close()
