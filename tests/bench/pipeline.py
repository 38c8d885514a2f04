"""The whole job on a small simulated store: seconds of each stage, and how well Triton could batch single-frame requests."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from tests.bench.measure import Measure
from tests.evaluation.jobs import run_job
from throughline.cli import words
from throughline.cli.stack import StackSettings
from throughline.cli.up import running
from throughline.perception.triton.client import DETECTOR, REID, InferenceClient
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.v1.common_pb2 import ClockMap
from throughline.v1.orchestrator_pb2 import JobOptions

_STORE = SimulationSettings(seed=7, seconds=60)
_FOOTAGE_SECONDS = _STORE.seconds * _STORE.cameras


def run() -> list[Measure]:
    """One job from submission to alert."""
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = simulate(_STORE, folder / "store")
        truth = folder / "store" / "truth" / "truth.parquet"
        settings = StackSettings(home=folder / "home", port=0, allowed_roots=(store.footage,), truth=truth)
        clocks = [ClockMap(camera=camera, offset_ns=clock.offset_ns) for camera, clock in store.clocks.items()]
        query = (store.folder / store.document.queries[0].file).read_text()
        with running(settings, console) as (deployment, _):
            uri = f"file://{store.footage}/"
            job = run_job(deployment, uri, query, JobOptions(clock_maps=clocks), console)
            with InferenceClient(deployment.addresses["triton"]) as client:
                batches = {name: client.statistics(name).mean_batch for name in (DETECTOR, REID)}
    total = sum(timing.seconds for timing in job.timings)
    return [
        *(Measure(f"job, {words.stage(timing.stage)}", timing.seconds, "s") for timing in job.timings),
        Measure("job, all stages", total, "s"),
        Measure("job, camera seconds per second", _FOOTAGE_SECONDS / total, "ratio"),
        Measure("job, pairs", len(job.candidates), "pairs"),
        *(Measure(f"Triton, mean batch of {name}", mean, "", 1.5, "higher") for name, mean in batches.items()),
    ]
