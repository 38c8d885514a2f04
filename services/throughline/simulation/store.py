"""Makes a whole store: films every camera, and writes footage, ground truth and queries into one folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from throughline.simulation.footage import Shoot, film, scene_of
from throughline.simulation.queries import choose_people, query_document, query_sighting, sightings
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.truth import (
    TRUTH_JSON,
    TRUTH_TABLE,
    StoreTruth,
    TrueCamera,
    TrueQuery,
    TruthDocument,
    TruthTable,
    write_table,
)


def simulate(settings: SimulationSettings, out: Path, progress: Callable[[int, int], None] | None = None) -> StoreTruth:
    """Render a store into `out` and return its ground truth.

    Writes `footage/<camera>/<time>.mp4`, `truth/{truth.json,truth.parquet}` and `queries/query-<n>-<person>.json`, the best
    query first. `progress` hears of every camera that is finished. Files of an earlier run with the same names are replaced.
    Raises ValueError where `settings.rate` does not divide 90000.
    """
    if 90_000 % settings.rate:
        raise ValueError(f"rate {settings.rate} does not divide 90000; choose for instance 10, 15, 20, 25 or 30")
    shoots = [Shoot(settings, number, out / "footage") for number in range(settings.cameras)]
    cameras: list[TrueCamera] = []
    tables: list[TruthTable] = []
    for camera, table in _filmed(shoots, settings.workers):
        cameras.append(camera)
        tables.append(table)
        if progress is not None:
            progress(len(cameras), len(shoots))
    table = _joined(tables)
    (out / "truth").mkdir(parents=True, exist_ok=True)
    document = TruthDocument(
        settings=settings,
        cameras=tuple(cameras),
        people=tuple(scene_of(settings).people),
        queries=_write_queries(settings, table, out),
    )
    write_table(out / "truth" / TRUTH_TABLE, table)
    (out / "truth" / TRUTH_JSON).write_text(document.model_dump_json(indent=2) + "\n")
    return StoreTruth(out, document, table)


def _filmed(shoots: list[Shoot], workers: int) -> list[tuple[TrueCamera, TruthTable]]:
    if min(workers, len(shoots)) == 1:
        return [film(shoot) for shoot in shoots]
    with ProcessPoolExecutor(min(workers, len(shoots)), mp_context=get_context("spawn")) as pool:
        return list(pool.map(film, shoots))


def _joined(tables: list[TruthTable]) -> TruthTable:
    columns = [np.concatenate([getattr(table, field.name) for table in tables]) for field in fields(TruthTable)]
    return TruthTable(*columns)


def _write_queries(settings: SimulationSettings, table: TruthTable, out: Path) -> tuple[TrueQuery, ...]:
    found = sightings(table, settings)
    folder = out / "queries"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, person in enumerate(choose_people(found, settings.queries), start=1):
        sighting = query_sighting(found, person)
        path = folder / f"query-{number}-{person}.json"
        path.write_text(json.dumps(query_document(settings, table, sighting), indent=2) + "\n")
        written.append(TrueQuery(file=str(path.relative_to(out)), camera=sighting.camera, person=person))
    return tuple(written)
