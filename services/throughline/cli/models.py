"""`throughline models`: build, calibrate and list the models of a repository."""

from __future__ import annotations

import csv
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from throughline.domain.errors import InvalidInput
from throughline.models.build import build_detector, build_reid
from throughline.models.calibrate import calibrate as fit_calibration
from throughline.models.graph import BGR_255, IMAGENET, RGB_255
from throughline.models.plan import build_plan
from throughline.models.repository import check_digest, model_dirs
from throughline.storage.tables import read_embeddings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Build, calibrate and list models.")

Repository = Annotated[Path, typer.Option("--repository", help="Folder of models in Triton's layout.")]
_HERE = Path("model_repository")


class Target(StrEnum):
    """What a model is built for."""

    CPU = "cpu"
    TENSORRT = "tensorrt"


class Input(StrEnum):
    """How weights expect the values of a picture."""

    BGR_255 = "bgr-255"
    RGB_255 = "rgb-255"
    IMAGENET = "imagenet"


_NORMALISATIONS = {Input.BGR_255: BGR_255, Input.RGB_255: RGB_255, Input.IMAGENET: IMAGENET}


@app.command()
def build(
    detector: Annotated[Path | None, typer.Option(help="ONNX weights of a YOLOX-type detector.")] = None,
    reid: Annotated[Path | None, typer.Option(help="ONNX weights that give one descriptor a crop.")] = None,
    target: Annotated[
        Target, typer.Option(help="tensorrt also makes the plan, on the GPU that will serve.")
    ] = Target.CPU,
    repository: Repository = _HERE,
    class_name: Annotated[list[str] | None, typer.Option(help="Class of the detector's weights, in order.")] = None,
    detector_input: Annotated[Input, typer.Option(help="What the detector's weights expect.")] = Input.BGR_255,
    reid_input: Annotated[Input, typer.Option(help="What the ReID weights expect.")] = Input.IMAGENET,
    licence: Annotated[str, typer.Option(help="Licence of the weights, as an SPDX name.")] = "not declared",
) -> None:
    """Make models that Triton serves, and check that they do what the weights do."""
    if detector is None and reid is None:
        raise typer.BadParameter("give --detector FILE, --reid FILE or both")
    cards = []
    if detector is not None:
        cards.append(
            build_detector(
                detector,
                repository,
                class_names=class_name or (),
                normalisation=_NORMALISATIONS[detector_input],
                licence=licence,
            )
        )
    if reid is not None:
        cards.append(build_reid(reid, repository, normalisation=_NORMALISATIONS[reid_input], licence=licence))
    for card in cards:
        if target is Target.TENSORRT:
            build_plan(repository / card.name)
        print(f"{repository / card.name}  {card.input_width}x{card.input_height}  {card.digest[:12]}")


@app.command()
def calibrate(
    labels: Annotated[Path, typer.Argument(help="CSV with the columns camera, track_id and identity.")],
    tracks: Annotated[list[str], typer.Option(help="CAMERA=FOLDER of a tracks artifact; give one for each camera.")],
    repository: Repository = _HERE,
    name: Annotated[str, typer.Option(help="The ReID model.")] = "reid",
    fitted_on: Annotated[str, typer.Option(help="Names the data in the model's card.")] = "",
) -> None:
    """Fit P(same person) to labelled tracks and write it into the model's card."""
    descriptors, identities, cameras = _labelled(labels, tracks)
    card = fit_calibration(repository / name, descriptors, identities, cameras, fitted_on or labels.name)
    if (found := card.calibration) is not None:
        print(f"{found.n_same} pairs of the same person, {found.n_different} of different people")


@app.command("list")
def list_models(repository: Repository = _HERE) -> None:
    """Show the models of a repository, and whether their files are those that the cards were written for."""
    table = Table("model", "kind", "input", "gives", "digest", "calibrated on", "from", "licence")
    for folder in model_dirs(repository):
        card = check_digest(folder)
        table.add_row(
            card.name,
            card.kind,
            f"{card.input_width}x{card.input_height}",
            ", ".join(card.class_names) or f"{card.embedding_dim} values",
            card.digest[:12],
            escape(card.calibration.fitted_on) if card.calibration else "",
            escape(card.source.file),
            escape(card.source.licence),
        )
    Console().print(table)


def _labelled(labels: Path, tracks: list[str]) -> tuple[NDArray[np.float32], NDArray[np.str_], NDArray[np.str_]]:
    """(n, d) descriptors of the labelled tracks, their identities and cameras."""
    identity = _identities(labels)
    vectors, identities, cameras = [], [], []
    for text in tracks:
        camera, sign, folder = text.partition("=")
        if not sign:
            raise typer.BadParameter(f"--tracks: {text!r} is not CAMERA=FOLDER")
        ids, descriptors = read_embeddings(Path(folder)).descriptors()
        for track_id, vector in zip(ids.tolist(), descriptors, strict=True):
            if (camera, track_id) in identity:
                vectors.append(vector)
                identities.append(identity[camera, track_id])
                cameras.append(camera)
    if not vectors:
        raise InvalidInput(f"no track of {', '.join(tracks)} is labelled in {labels}")
    return np.stack(vectors).astype(np.float32), np.array(identities), np.array(cameras)


def _identities(labels: Path) -> dict[tuple[str, int], str]:
    try:
        with labels.open(newline="") as file:
            return {(row["camera"], int(row["track_id"])): row["identity"] for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError) as error:
        raise InvalidInput(
            f"{labels} cannot be read as CSV with the columns camera, track_id and identity: {error!r}"
        ) from error
