"""The host's clock is set an hour forward or back while jobs are at work: records stay readable, and no wait grows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.orchestrator.bench import request, settings_for
from throughline.domain.errors import DependencyUnavailable
from throughline.domain.time import NS_PER_SECOND
from throughline.orchestrator.jobs import Jobs
from throughline.orchestrator.rounds import RoundId, Rounds
from throughline.orchestrator.submission import check_submission
from throughline.orchestrator.view import View
from throughline.storage.attention import patient
from throughline.storage.objects import open_objects
from throughline.storage.records import Records
from throughline.v1 import orchestrator_pb2 as pb

HOUR_NS = 3600 * NS_PER_SECOND
DEADLINE_SECONDS = 60


class Clock:
    """A wall clock that people set."""

    def __init__(self) -> None:
        self.ns = time.time_ns()

    def __call__(self) -> int:
        self.ns += NS_PER_SECOND
        return self.ns


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    records = Records.open(f"sqlite:///{tmp_path}/records.db")
    yield records
    records.close()


@pytest.mark.parametrize("step_ns", [-HOUR_NS, HOUR_NS], ids=["back", "forward"])
@pytest.mark.parametrize("moment", ["in a stage", "before the pairs were sent", "during the review", "before the end"])
def test_a_job_stays_readable_and_its_spans_whole(records: Records, tmp_path: Path, step_ns: int, moment: str) -> None:
    clock = Clock()
    jobs, rounds = Jobs(records, clock), Rounds(records, 0.0, clock)

    def passes(name: str) -> None:
        clock.ns += step_ns if name == moment else 0

    settings = settings_for(tmp_path, "127.0.0.1:7")
    job_id, _ = jobs.create(check_submission(request(), open_objects(settings), settings))
    started = clock()
    passes("in a stage")
    jobs.add_run(job_id, "list", "", started, runs=1)
    first = RoundId(job_id, 1)
    rounds.open(first, DEADLINE_SECONDS)
    passes("before the pairs were sent")
    rounds.mark_sent(first)
    review = rounds.get(first)
    assert review.deadline_ns - review.sent_ns == DEADLINE_SECONDS * NS_PER_SECOND, "the tier has all of its time"
    passes("during the review")
    clock.ns += 2 * HOUR_NS
    rounds.expire()
    passes("before the end")
    jobs.end(job_id, "succeeded")

    job = View(records).job(job_id)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert job.ended_ns >= job.created_ns
    assert all(timing.seconds >= 0 for timing in job.timings)
    assert rounds.get(first).closed_ns >= rounds.get(first).opened_ns


@pytest.mark.parametrize("step_seconds", [-3600, 3600], ids=["back", "forward"])
def test_patience_with_s3_is_measured_by_the_monotonic_clock(
    monkeypatch: pytest.MonkeyPatch, step_seconds: int
) -> None:
    real, attempts = time.time, list[float]()

    def fail() -> None:
        attempts.append(real())
        if len(attempts) == 2:
            monkeypatch.setattr(time, "time", lambda: real() + step_seconds)
        raise DependencyUnavailable("down")

    began = time.monotonic()
    with pytest.raises(DependencyUnavailable):
        patient(fail, lambda: None, 1.0)
    assert len(attempts) > 2
    assert time.monotonic() - began >= 1.0


SERVICES = Path(__file__).parents[2] / "services" / "throughline"
WALL_CLOCK_MATTERS = {
    "alert/announcements.py": "when an announcement came",
    "orchestrator/alerting.py": "the signature's time, which receivers compare with their clock",
    "orchestrator/answers.py": "when an answer came; one dated ahead counts as dated now",
    "orchestrator/durable.py": "the order of jobs in a queue, by the minute",
    "orchestrator/film_steps.py": "when a stage ran",
    "orchestrator/films.py": "when a film was asked for",
    "orchestrator/footage_steps.py": "when a stage ran",
    "orchestrator/jobs.py": "when a job was taken and ended",
    "orchestrator/metrics.py": "ages of jobs, told to people",
    "orchestrator/notary.py": "when evidence was written",
    "orchestrator/patience.py": "when to try again after a restart; never further off than the longest pause",
    "orchestrator/rounds.py": "deadlines of days, which outlive processes",
    "orchestrator/search_steps.py": "when a stage ran",
    "tier/reviews.py": "when a review came and was answered",
    "wire/auth.py": "when a token expires",
    "wire/tls.py": "when a certificate expires",
}
"""Every module that reads the wall clock, and why it may."""


def test_every_use_of_the_wall_clock_has_its_reason() -> None:
    words = ("time.time()", "time.time_ns", "time.time)", "= time.time,", "datetime.now", "utcnow", "time.time\n")
    packages = ("cli", "models", "simulation", "training", "v1")
    found = {
        str(path.relative_to(SERVICES))
        for path in SERVICES.rglob("*.py")
        if path.relative_to(SERVICES).parts[0] not in packages and any(word in path.read_text() for word in words)
    }
    assert found == set(WALL_CLOCK_MATTERS)
