"""`throughline eval`: how well the product does on labelled data of other people."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from trackers.eval import evaluate_mot_sequences

from throughline.domain.errors import InvalidInput
from throughline.perception.associate import GENERAL
from throughline.tracker.mot import read_sequences, track_sequence, write_tracks

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Measure on labelled data.")

FIGURES = ("HOTA", "AssA", "DetA", "IDF1", "MOTA", "IDSW")
Figures = dict[str, float]
"""By the names of FIGURES: percent, except for the number of switched identities."""
_ALL = "all"


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
