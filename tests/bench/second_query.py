"""A second query over footage that was searched before: from submission to ranked candidates, 4 cameras of 10 minutes.

The first job makes the reels and tracks, at a low rate, since it is the tracks that count here; it is cancelled once it has ranked.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from pathlib import Path

from rich.console import Console

from tests.bench.measure import Measure
from throughline.cli import words
from throughline.cli.connection import CALL_SECONDS, orchestrator
from throughline.cli.deployment import Deployment
from throughline.cli.stack import StackSettings
from throughline.cli.up import running
from throughline.domain.errors import FailedPrecondition
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import ClockMap

_STORE = SimulationSettings(seed=7, people=20, seconds=600, width=640, height=360, rate=6, chunk_seconds=60, queries=4)
_RATE = 3.0
_POLL_SECONDS = 0.02


def run() -> list[Measure]:
    """The first query, and then the others, which find everything made."""
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = simulate(_STORE, folder / "store")
        settings = StackSettings(home=folder / "home", port=0, allowed_roots=(store.footage,))
        clocks = [ClockMap(camera=camera, offset_ns=clock.offset_ns) for camera, clock in store.clocks.items()]
        options = pb.JobOptions(clock_maps=clocks, analysis_rate=_RATE)
        queries = [(store.folder / each.file).read_text() for each in store.document.queries]
        with running(settings, console) as (deployment, _):
            found = [_ranked(deployment, f"file://{store.footage}/", query, options) for query in queries]
    (first, _), *others = found
    slowest, job = max(others, key=lambda each: each[0])
    return [
        Measure("second query, candidates", len(job.candidates), "pairs"),
        Measure("second query, the first to ranked candidates", first, "s"),
        *(Measure(f"second query, of it {words.stage(each.stage)}", each.seconds, "s") for each in job.timings),
        Measure(f"second query, the slowest of {len(others)} to ranked candidates", slowest, "s", 3.0),
    ]


def _ranked(deployment: Deployment, footage: str, query: str, options: pb.JobOptions) -> tuple[float, pb.Job]:
    """Seconds from submission until candidates are ranked, and the job as it was then; it is cancelled."""
    request = pb.SubmitJobRequest(
        request_id=f"bench-{uuid.uuid4().hex}", footage_uri=footage, query_json=query, options=options
    )
    with orchestrator(deployment.home) as stub:
        start = time.perf_counter()
        job_id = stub.SubmitJob(request, timeout=CALL_SECONDS).job_id
        while not (job := stub.GetJob(pb.GetJobRequest(job_id=job_id), timeout=CALL_SECONDS).job).candidates:
            if job.state not in (pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING):
                break
            time.sleep(_POLL_SECONDS)
        seconds = time.perf_counter() - start
        if not job.candidates:
            raise FailedPrecondition(f"job {job_id} ended without candidates: {job.error}")
        stub.CancelJob(pb.CancelJobRequest(job_id=job_id, request_id=uuid.uuid4().hex), timeout=CALL_SECONDS)
    return seconds, job
