"""`throughline eval`: how well the product does on labelled data of other people."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from trackers.eval import evaluate_mot_sequences

from throughline.domain.errors import InvalidInput
from throughline.models.crop_sets import LABELS_FILE, CropSet, read_pictures, read_tracklets
from throughline.models.reid_figures import DescribedSet, Known, of_pictures, of_tracklets
from throughline.models.reid_figures import Figures as Ranked
from throughline.perception.associate import GENERAL
from throughline.perception.embed import Embedder
from throughline.perception.triton.client import REID, InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.tracker.mot import read_sequences, track_sequence, write_tracks

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Measure on labelled data.")

FIGURES = ("HOTA", "AssA", "DetA", "IDF1", "MOTA", "IDSW")
Figures = dict[str, float]
"""By the names of FIGURES: percent, except for the number of switched identities."""
_ALL = "all"
_IN_FLIGHT = 16


@app.callback()
def evaluate() -> None:
    """Measure on labelled data."""


@app.command("mot")
def mot(
    truth: Annotated[Path, typer.Option(help="Folder of <sequence>/{gt/gt.txt,seqinfo.ini}.")],
    detections: Annotated[Path, typer.Option(help="Folder of one <sequence>.txt each, in MOT's format.")],
    out: Annotated[Path | None, typer.Option(help="Write the tracks here: {plain,refined}/<sequence>.txt.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Track MOT-format detections with our own tracker, plain and refined by motion, and score them."""
    with tempfile.TemporaryDirectory() as folder:
        figures = evaluate_mot(truth, detections, out or Path(folder))
    if as_json:
        typer.echo(json.dumps(figures, indent=1))
        return
    table = Table("sequence", "tracks", *FIGURES)
    for name, kinds in figures.items():
        for kind, values in kinds.items():
            shown = [f"{values[figure]:.0f}" if figure == "IDSW" else f"{values[figure]:.2f}" for figure in FIGURES]
            table.add_row(name, kind, *shown)
    Console().print(table)


@app.command("reid")
def reid(
    folder: Annotated[
        Path, typer.Argument(help=f"<person>/<camera>_<direction>.png, or {LABELS_FILE} beside its videos.")
    ],
    models: Annotated[Path, typer.Option(help="Model repository; its ReID model is served and measured.")] = Path(
        "model_repository"
    ),
    seed: Annotated[int, typer.Option(help="Of the draws of sets.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Tell labelled people apart across cameras: rank-1 and mAP of single crops, of sets, and re-ranked."""
    figures = evaluate_reid(folder, models, seed)
    if as_json:
        typer.echo(json.dumps(figures, indent=1))
        return
    table = Table("compared", "queries", "rank-1", "mAP")
    for name, values in figures.items():
        table.add_row(name, f"{values['queries']:.0f}", f"{values['rank-1']:.3f}", f"{values['mAP']:.3f}")
    Console().print(table)


def evaluate_reid(folder: Path, models: Path, seed: int = 0) -> Ranked:
    """Figures by what was compared. The ReID model of `models` runs on a Triton of its own."""
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder; give one")
    labelled = (folder / LABELS_FILE).exists()
    sets = read_tracklets(folder) if labelled else read_pictures(folder)
    with tempfile.TemporaryDirectory() as scratch:
        settings = TritonSettings(model_repository=models, log=Path(scratch, "triton.log"))
        with (
            TritonServer(settings) as server,
            InferenceClient(server.grpc_address, tls=settings.tls) as client,
        ):
            card = client.model(REID)
            described = describe_sets(sets, client)
    known = Known(None if card.matching is None else np.array(card.matching.mean_look, np.float32), card.calibration)
    return of_tracklets(described, known) if labelled else of_pictures(described, known, seed)


def describe_sets(sets: Sequence[CropSet], client: InferenceClient) -> list[DescribedSet]:
    """Each set with the vectors of its crops, by the ReID model that is served."""
    vectors: dict[int, list[NDArray[np.float32]]] = {row: [] for row in range(len(sets))}
    embedder = Embedder[int](client, _IN_FLIGHT, lambda row, vector: vectors[row].append(vector))
    for row, each in enumerate(sets):
        for crop in each.crops:
            embedder.add(row, crop)
    embedder.finish()
    return [
        DescribedSet(each.person, each.camera, np.stack(vectors[row])) for row, each in enumerate(sets) if vectors[row]
    ]


def evaluate_mot(truth: Path, detections: Path, out: Path) -> dict[str, dict[str, Figures]]:
    """Figures by sequence, and of `all`, by kind of tracks: plain and refined. Tracks are left in `out`."""
    kinds = ("plain", "refined")
    for sequence in read_sequences(truth, detections):
        tracks = track_sequence(sequence, GENERAL)
        if not len(tracks.refined):
            raise InvalidInput(
                f"nobody was tracked in {sequence.name}, so it has no score: {detections / sequence.name}.txt has "
                f"{len(sequence.detections)} boxes; a track needs two of score {GENERAL.activation_score:g} or more"
            )
        for kind, rows in zip(kinds, (tracks.plain, tracks.refined), strict=True):
            write_tracks(out / kind / f"{sequence.name}.txt", rows)
    scored = {kind: _scored(truth, out / kind) for kind in kinds}
    return {name: {kind: scored[kind][name] for kind in kinds} for name in scored["plain"]}


def _scored(truth: Path, tracks: Path) -> dict[str, Figures]:
    try:
        result = evaluate_mot_sequences(truth, tracks, metrics=["HOTA", "Identity", "CLEAR"])
    except (ValueError, IndexError) as error:
        raise InvalidInput(
            f"{tracks} could not be scored against {truth}: {error}; check the truth's gt.txt"
        ) from error
    return {name: _figures(each) for name, each in [*result.sequences.items(), (_ALL, result.aggregate)]}


def _figures(found: object) -> Figures:
    """From the library's result of one sequence."""
    parts = {"HOTA": "HOTA", "AssA": "HOTA", "DetA": "HOTA", "IDF1": "Identity", "MOTA": "CLEAR", "IDSW": "CLEAR"}
    values = {figure: float(getattr(getattr(found, part), figure)) for figure, part in parts.items()}
    return {figure: value if figure == "IDSW" else 100 * value for figure, value in values.items()}
