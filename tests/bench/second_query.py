"""A second query over footage that was searched before: from submission to ranked candidates, 4 cameras of 10 minutes.

One minute is simulated, and its chunks stand under the names of the nine minutes after it as well: ranking is a matter of how many
tracks there are, and each of the minutes has its own. The first job makes the reels and tracks, at a low rate; every job is
cancelled once it has ranked.
"""

from __future__ import annotations

import json
import shutil
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
from throughline.domain.time import seconds_to_ns
from throughline.simulation.footage import chunk_name
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.simulation.truth import StoreTruth
from throughline.tracker.artifacts import SUMMARY_FILE
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import ClockMap

_MINUTES = 10
_STORE = SimulationSettings(seed=7, people=20, seconds=60, width=640, height=360, rate=10, chunk_seconds=60, queries=4)
_RATE = 5.0
_POLL_SECONDS = 0.1
_TIMES = 3
"""Each of the later queries is asked so often, for a machine has other things to do."""


def run() -> list[Measure]:
    """The first query, and then the others, which find everything made; of what the median of these took."""
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = simulate(_STORE, folder / "store")
        repeat(store, _MINUTES)
        settings = StackSettings(home=folder / "home", port=0, allowed_roots=(store.footage,))
        clocks = [ClockMap(camera=camera, offset_ns=clock.offset_ns) for camera, clock in store.clocks.items()]
        options = pb.JobOptions(clock_maps=clocks, analysis_rate=_RATE)
        queries = [(store.folder / each.file).read_text() for each in store.document.queries]
        with running(settings, console) as (deployment, _):
            uri = f"file://{store.footage}/"
            first, _ = _ranked(deployment, uri, queries[0], options)
            found = [_ranked(deployment, uri, query, options) for query in queries[1:] * _TIMES]
            summaries = (deployment.home / "workspace" / "tracks").glob(f"*/{SUMMARY_FILE}")
            tracks = sum(json.loads(path.read_bytes())["track_count"] for path in summaries)
    found.sort(key=lambda each: each[0])
    median, job = found[len(found) // 2]
    called = sum(each.seconds for each in job.timings)
    return [
        Measure("second query, camera minutes", _MINUTES * _STORE.cameras, "min"),
        Measure("second query, tracks", tracks, "tracks"),
        Measure("second query, candidates", len(job.candidates), "pairs"),
        Measure("second query, the first to ranked candidates", first, "s"),
        *(Measure(f"second query, of it {words.stage(each.stage)}", each.seconds, "s") for each in job.timings),
        Measure("second query, of it queues and what lies between the stages", median - called, "s"),
        Measure(f"second query, the slowest of {len(found)}", found[-1][0], "s"),
        Measure(f"second query, to ranked candidates, median of {len(found)}", median, "s", 3.0),
    ]


def repeat(store: StoreTruth, minutes: int) -> None:
    """Copy the footage of a store of one minute, a chunk a camera, to the minutes after it."""
    for camera in store.document.cameras:
        (chunk,) = camera.chunks
        for minute in range(1, minutes):
            later = chunk_name(camera.first_frame + seconds_to_ns(60.0 * minute))
            shutil.copyfile(store.footage / camera.name / chunk, store.footage / camera.name / later)


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
