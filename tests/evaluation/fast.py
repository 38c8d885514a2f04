"""Fast searches against full ones on simulated stores: how much of the person's way they find, and for how many analysed frames."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from rich.console import Console

from tests.bench.measure import Measure
from tests.evaluation.jobs import run_job, workspace_of
from throughline.cli.stack import StackSettings
from throughline.cli.up import running
from throughline.domain.time import NS_PER_SECOND
from throughline.simulation.evaluation import evaluate
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.simulation.truth import StoreTruth
from throughline.v1.common_pb2 import ClockMap
from throughline.v1.orchestrator_pb2 import SEARCH_MODE_FAST, SEARCH_MODE_FULL, JobOptions

SEEDS = (1, 2)
STORE = {"seconds": 480.0, "width": 960, "height": 540, "rate": 10, "queries": 1}
"""Eight minutes, in which people come and go: where the person is in view all the time, nothing can be saved."""
QUERIES = 1


def run(folder: Path) -> list[Measure]:
    """A job a store in each mode, each on a deployment of its own."""
    console = Console(stderr=True)
    shutil.rmtree(folder, ignore_errors=True)
    shown: dict[int, list[float]] = {SEARCH_MODE_FULL: [], SEARCH_MODE_FAST: []}
    frames = dict.fromkeys(shown, 0)
    owed: list[int] = []
    measures = []
    for seed in SEEDS:
        place = folder / f"store-{seed}"
        store = simulate(SimulationSettings.model_validate({"seed": seed, **STORE}), place / "store")
        for mode in shown:
            console.rule(f"seed {seed}, mode {mode}")
            stays, analysed = _searched(store, mode, place / f"mode-{mode}", console)
            shown[mode] += [share * ns for share, ns in stays]
            frames[mode] += analysed
            if mode == SEARCH_MODE_FULL:
                owed += [ns for _, ns in stays]
    full, fast = (sum(shown[mode]) for mode in (SEARCH_MODE_FULL, SEARCH_MODE_FAST))
    measures += [
        Measure("fast: stays to be found", sum(owed) / NS_PER_SECOND, "s"),
        Measure("full: share of them filmed", full / sum(owed), ""),
        Measure("fast: share of them filmed", fast / sum(owed), ""),
        Measure("fast: of what a full search films", fast / full, "", 0.95, "higher"),
        Measure(
            "fast: analysed frames, of those of a full search", frames[SEARCH_MODE_FAST] / frames[SEARCH_MODE_FULL], ""
        ),
        Measure("fast: worst query, of what a full search films", _worst(shown), ""),
    ]
    return measures


def _worst(shown: dict[int, list[float]]) -> float:
    full, fast = (np.array(shown[mode]) for mode in (SEARCH_MODE_FULL, SEARCH_MODE_FAST))
    return float((fast / full).min())


def _searched(store: StoreTruth, mode: int, home: Path, console: Console) -> tuple[list[tuple[float, int]], int]:
    """Of each query the share of the person's stays that its film shows, with their length; and the frames analysed for all."""
    settings = StackSettings(
        home=home, port=0, allowed_roots=(store.footage,), truth=store.folder / "truth" / "truth.parquet"
    )
    clocks = [ClockMap(camera=camera, offset_ns=clock.offset_ns) for camera, clock in store.clocks.items()]
    found = []
    with running(settings, console) as (deployment, _):
        for query in store.document.queries[:QUERIES]:
            text = (store.folder / query.file).read_text()
            options = JobOptions(clock_maps=clocks, search_mode=mode)  # type: ignore[arg-type]
            job = run_job(deployment, f"file://{store.footage}/", text, options, console)
            film = evaluate(workspace_of(deployment, home / "cache"), job, store, query.person).film
            found.append((film.stay_share, film.stays_ns))
        pieces = (home / "workspace" / "detections").glob("*/piece.json")
        analysed = sum(json.loads(piece.read_bytes())["frame_count"] for piece in pieces)
    return found, analysed
