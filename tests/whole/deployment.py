"""A whole deployment over a small simulated store, one job after the other on it, and what is left of each."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.otlp import Collector, collecting
from throughline.alert.announcements import Announcements
from throughline.cli.connection import orchestrator
from throughline.cli.deployment import Deployment
from throughline.cli.stack import StackSettings
from throughline.cli.supervisor import Supervisor
from throughline.cli.up import running
from throughline.cli.watch import ENDED
from throughline.domain.errors import DeadlineExceeded, DependencyUnavailable
from throughline.domain.time import Interval
from throughline.renderer.documents import TimelineDocument
from throughline.renderer.timelines import DOCUMENT
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.simulation.truth import StoreTruth
from throughline.storage.database import open_database
from throughline.storage.documents import load
from throughline.tier.records import MIGRATIONS, Pair, Review
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import ClockMap

_PATIENCE_SECONDS = 240.0
_PAUSE_SECONDS = 0.05
_MOMENT_SECONDS = 0.5

SMALL_STORE = SimulationSettings(
    seed=7, cameras=3, people=6, seconds=16, width=640, height=360, rate=10, chunk_seconds=4
)

CandidateSummary = tuple[str, int, int, int, float, int]
"""Camera, number of the track, start and end in ns, similarity, verdict."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job came to, in terms that do not depend on where its footage lay."""

    state: int
    error: str
    candidates: tuple[CandidateSummary, ...]
    film: tuple[tuple[Interval, tuple[str, ...]], ...]
    """For each segment its span of UTC and the cameras that it shows."""
    partial: bool


@dataclass(frozen=True, slots=True)
class Effects:
    """How often each thing was done."""

    runs: dict[int, int]
    """By stage: how often its work was really done."""
    pairs_at_tier: int
    alerts: int


@dataclass
class Theatre:
    """A running deployment and the store that its jobs are about."""

    deployment: Deployment
    supervisor: Supervisor
    store: StoreTruth
    footage: Path
    collector: Collector
    """Gets everyone's traces."""

    @property
    def query(self) -> str:
        """The best query of the store, JSON."""
        return (self.store.folder / self.store.document.queries[0].file).read_text()

    def submit(self, name: str, footage_uri: str = "", query: str = "", **options: Any) -> str:
        """A job; without `footage_uri` over a copy of the footage of its own, so that nothing of an earlier job is found ready."""
        if not footage_uri:
            shutil.copytree(self.store.footage, self.footage / name)
            footage_uri = f"file://{self.footage / name}/"
        clocks = [ClockMap(camera=camera, offset_ns=clock.offset_ns) for camera, clock in self.store.clocks.items()]
        request = pb.SubmitJobRequest(
            request_id=f"whole-{name}",
            footage_uri=footage_uri,
            query_json=query or self.query,
            options=pb.JobOptions(clock_maps=clocks, **options),
        )
        with orchestrator(self.deployment.home) as stub:
            return stub.SubmitJob(request, timeout=30).job_id

    def job(self, job_id: str) -> pb.Job | None:
        """The job as it stands; None while the orchestrator is away."""
        try:
            with orchestrator(self.deployment.home) as stub:
                return stub.GetJob(pb.GetJobRequest(job_id=job_id), timeout=5).job
        except (DependencyUnavailable, DeadlineExceeded):
            return None

    def wait(self, job_id: str, condition: Callable[[pb.Job], bool]) -> pb.Job:
        """The job as soon as `condition` holds or it has ended."""
        return self.until(job_id, lambda job: job.state in ENDED or condition(job))

    def until(
        self, job_id: str, condition: Callable[[pb.Job], bool], patience_seconds: float = _PATIENCE_SECONDS
    ) -> pb.Job:
        """The job as soon as `condition` holds."""
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            job = self.job(job_id)
            if job is not None and condition(job):
                return job
            time.sleep(_PAUSE_SECONDS)
        raise AssertionError(f"job {job_id} is stuck: {self.job(job_id)}")

    def finished(self, job_id: str) -> pb.Job:
        return self.wait(job_id, lambda job: job.state in ENDED)

    def kill(self, name: str) -> None:
        """SIGKILL one service's process, by its id."""
        self.signal(name, signal.SIGKILL)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one service's process, by its id."""
        os.kill(self.pid(name), number)

    def recovered(self) -> None:
        """Return when every child serves again."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        waiting = list(self.supervisor.children)
        while waiting and time.monotonic() < deadline:
            waiting = [child for child in waiting if child.pid is None or not child.spec.is_ready()]
            time.sleep(_PAUSE_SECONDS)
        assert not waiting, f"{', '.join(child.spec.name for child in waiting)} did not come back"

    def rests(self, name: str) -> bool:
        """Whether a service, with all that it started, uses next to no CPU over a moment."""
        before = self._cpu_seconds(name)
        time.sleep(_MOMENT_SECONDS)
        return self._cpu_seconds(name) - before < _MOMENT_SECONDS / 5

    def token(self, name: str) -> str:
        """What a service shows to others."""
        return next(
            child.spec.environment["THROUGHLINE_TOKEN"] for child in self.supervisor.children if child.spec.name == name
        )

    def folders(self, place: str) -> set[str]:
        """Names of the finished artifacts right below a folder of the workspace."""
        return {path.parent.name for path in (self.deployment.home / "workspace" / place).glob("*/manifest.json")}

    def outcome(self, job: pb.Job) -> Outcome:
        return Outcome(job.state, job.error, _candidates(job), self._film(job), job.timeline.partial)

    def effects(self, job: pb.Job) -> Effects:
        tier = open_database(self.deployment.tier_database_url, MIGRATIONS)
        with Session(tier) as session:
            reviewed = select(func.count()).select_from(Pair).join(Review).where(Review.job_id == job.job_id)
            pairs = session.scalar(reviewed) or 0
        tier.dispose()
        announcements = Announcements.open(self.deployment.alert_database_url)
        alerts = len(announcements.all(job.job_id))
        announcements.close()
        return Effects({timing.stage: timing.runs for timing in job.timings}, pairs, alerts)

    def pid(self, name: str) -> int:
        """Of a service that runs."""
        pid = next(child.pid for child in self.supervisor.children if child.spec.name == name)
        assert pid is not None, f"{name} does not run"
        return pid

    def _cpu_seconds(self, name: str) -> float:
        process = psutil.Process(self.pid(name))
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return sum(each.user + each.system for each in times)

    def _film(self, job: pb.Job) -> tuple[tuple[Interval, tuple[str, ...]], ...]:
        if not job.timeline.revision:
            return ()
        folder = self.deployment.home / "workspace" / "jobs" / job.job_id / "timelines" / str(job.timeline.revision)
        document = load(TimelineDocument, (folder / DOCUMENT).read_bytes())
        return tuple((segment.utc, tuple(tile.camera for tile in segment.tiles)) for segment in document.segments)


@contextmanager
def staged(folder: Path, **changes: Any) -> Iterator[Theatre]:
    """A deployment over the small store below an empty folder; `changes` are of its StackSettings."""
    store = simulate(SMALL_STORE, folder / "store")
    footage = folder / "footage"
    footage.mkdir()
    settings = StackSettings(
        home=folder / "home",
        port=0,
        allowed_roots=(footage,),
        truth=folder / "store" / "truth" / "truth.parquet",
        **changes,
    )
    with collecting() as collector, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{collector.address}")
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")  # milliseconds
        with running(settings, Console(stderr=True)) as (deployment, supervisor):
            yield Theatre(deployment, supervisor, store, footage, collector)


def _candidates(job: pb.Job) -> tuple[CandidateSummary, ...]:
    return tuple(
        (
            each.track.camera,
            each.track.track_id,
            each.track.span.start_ns,
            each.track.span.end_ns,
            round(each.similarity, 6),
            each.verdict,
        )
        for each in job.candidates
    )
