"""The whole job on five simulated stores that no model was trained on, for three people of each."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
from rich.console import Console

from tests.bench.measure import Measure
from tests.evaluation.jobs import run_job, workspace_of
from tests.evaluation.own_tracks import own_tracks
from tests.evaluation.reliability import auc_of, reliability
from throughline.cli.stack import StackSettings
from throughline.cli.up import running
from throughline.domain.likeness import SAME_LOOKS
from throughline.domain.time import NS_PER_SECOND
from throughline.models.calibrate import LabelledCamera, cosine_pairs, joined, set_pairs
from throughline.perception.triton.card import ModelCard
from throughline.perception.triton.server import TritonSettings
from throughline.simulation.evaluation import Evaluation, evaluate
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.v1.common_pb2 import ClockMap
from throughline.v1.orchestrator_pb2 import JobOptions

SEEDS = (1, 2, 3, 4, 5)
SECONDS = 60.0


def run(folder: Path) -> list[Measure]:
    """One job a query; figures for each and over all."""
    console = Console(stderr=True)
    by_seed, places = {}, []
    for seed in SEEDS:
        by_seed[seed], place = _evaluated(seed, folder / f"store-{seed}", console)
        places.append(place)
    found = [each for several in by_seed.values() for each in several]
    measures = [measure for seed, several in by_seed.items() for each in several for measure in _of_one(seed, each)]
    true = sum(each.retrieval.true for each in found)
    missed = sum(len(each.retrieval.missed) for each in found)
    aucs = [each.retrieval.auc for each in found if not math.isnan(each.retrieval.auc)]
    owed = sum(each.film.stays_ns for each in found)
    right = sum(each.film.stay_share * each.film.stays_ns for each in found)
    edges = np.array([edge for each in found for edge in (*each.film.entering_ns, *each.film.leaving_ns)])
    return [
        *measures,
        Measure("stores: true candidates", true, "tracks"),
        Measure("stores: recall at 0.5", 1 - missed / true if true else 1.0, "", 0.90, "higher"),
        Measure("stores: AUC, mean", float(np.mean(aucs)), "", 0.95, "higher"),
        Measure("stores: queries located", float(np.mean([each.located for each in found])), "", 1.0, "higher"),
        Measure("stores: film shows the right cameras", right / owed if owed else 1.0, "", 0.95, "higher"),
        Measure(
            "stores: entrances and exits within 0.5 s", float(np.mean(edges <= NS_PER_SECOND // 2)), "", 0.95, "higher"
        ),
        *_recognition(places),
        Measure("stores: worst entrance or exit", float(edges.max(initial=0)) / NS_PER_SECOND, "s"),
    ]


def _recognition(places: list[list[LabelledCamera]]) -> list[Measure]:
    """Over all pairs of clear tracks across cameras of one store."""
    card = ModelCard.read(TritonSettings().model_repository / "reid")
    assert card.calibration is not None
    assert card.matching is not None
    look, same_cosine = np.array(card.matching.mean_look), card.calibration.inverse(SAME_LOOKS)
    cosines, same = joined(map(cosine_pairs, places))
    alike, _ = joined(set_pairs(place, look, same_cosine) for place in places)
    return [
        Measure("stores: AUC of pairs, cosine", auc_of(cosines, same), ""),
        Measure("stores: AUC of pairs, likeness", auc_of(alike, same), ""),
        *reliability("stores, cosine", card.calibration.apply(cosines), same),
        *reliability("stores", card.matching.calibration.apply(alike), same, 0.05),
    ]


def _evaluated(seed: int, folder: Path, console: Console) -> tuple[list[Evaluation], list[LabelledCamera]]:
    shutil.rmtree(folder, ignore_errors=True)
    store = simulate(SimulationSettings(seed=seed, seconds=SECONDS), folder / "store")
    settings = StackSettings(
        home=folder / "home",
        port=0,
        allowed_roots=(store.footage,),
        truth=folder / "store" / "truth" / "truth.parquet",
    )
    clocks = [ClockMap(camera=camera, offset_ns=clock.offset_ns) for camera, clock in store.clocks.items()]
    found = []
    with running(settings, console) as (deployment, _):
        for query in store.document.queries:
            console.rule(f"seed {seed}: {query.person} on {query.camera}")
            text = (store.folder / query.file).read_text()
            job = run_job(deployment, f"file://{store.footage}/", text, JobOptions(clock_maps=clocks), console)
            found.append(evaluate(workspace_of(deployment, folder / "cache"), job, store, query.person))
        truth = {camera: store.camera(camera) for camera in store.clocks}
        place, _ = own_tracks(deployment.home, truth)
    return found, place


def _of_one(seed: int, found: Evaluation) -> list[Measure]:
    retrieval, film, name = found.retrieval, found.film, f"seed {seed}, {found.person}"
    return [
        Measure(f"{name}: candidates, of them wrong {retrieval.wrong}", retrieval.candidates, "tracks"),
        Measure(f"{name}: recall of {retrieval.true}", retrieval.recall, ""),
        Measure(f"{name}: AUC", retrieval.auc, ""),
        Measure(f"{name}: film right of {film.stays_ns / NS_PER_SECOND:.1f} s of stays", film.stay_share, ""),
        Measure(f"{name}: film right of {film.owed_ns / NS_PER_SECOND:.1f} s tracked", film.right_share, ""),
        Measure(f"{name}: entrances and exits within 0.5 s", film.edges_within(), ""),
    ]
