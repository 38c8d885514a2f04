"""`throughline models`: fetch weights; build, calibrate and list the models of a repository."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Column, Table

from throughline.domain.errors import InvalidInput
from throughline.models import catalogue
from throughline.models.build import BETTER, build_detector, build_reid
from throughline.models.calibrate import LabelledCamera
from throughline.models.calibrate import calibrate as fit_calibration
from throughline.models.fetch import Progress, fetch, read_record, sha256
from throughline.models.graph import BGR_255, IMAGENET, IMAGENET_BGR, RGB_255, UNIT
from throughline.models.labelled import read_labelled
from throughline.models.plan import build_plan
from throughline.models.repository import check_digest, model_dirs
from throughline.models.swap import swap as load_version
from throughline.models.trials import calibration_pictures
from throughline.perception.triton.card import ModelCard
from throughline.storage.tables import CLEAR_FILE, read_embeddings
from throughline.tracker.settings import TrackerSettings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Fetch weights; build, calibrate and list models.")

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
    RGB_UNIT = "rgb-1"
    IMAGENET = "imagenet"
    IMAGENET_BGR = "imagenet-bgr"


_NORMALISATIONS = {
    Input.BGR_255: BGR_255,
    Input.RGB_255: RGB_255,
    Input.RGB_UNIT: UNIT,
    Input.IMAGENET: IMAGENET,
    Input.IMAGENET_BGR: IMAGENET_BGR,
}
_LABELLED_FRAMES = 40
_WEIGHTS = Path("weights")


@app.command()
def add(
    names: Annotated[
        list[str] | None, typer.Argument(help="Of the list that --list shows.", show_default=False)
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Show what there is, and from where.")] = False,
    folder: Annotated[Path, typer.Option(help="Where files of weights are kept.")] = _WEIGHTS,
    base_url: Annotated[
        str,
        typer.Option(envvar="THROUGHLINE_MODELS_BASE_URL", help="Fetch <this>/<file> instead, such as from a mirror."),
    ] = "",
    url: Annotated[str, typer.Option(help="Fetch one file from here instead.")] = "",
) -> None:
    """Fetch official weights, and check that they are what they should be; goes on where it was broken off."""
    if show or not names:
        _show_catalogue()
        return
    if url and len(names) > 1:
        raise typer.BadParameter("--url is the place of one file; give one name, or --base-url")
    for name in names:
        known = catalogue.entry(name)
        known = replace(known, url=url) if url else known
        with _bar(known.file) as on_progress:
            path = fetch(known, folder, "" if url else base_url, on_progress)
        trust = "as known" if known.sha256 else "recorded: nothing was known to compare it with"
        print(f"{path}  {known.licence}  SHA-256 {sha256(path)[:12]}, {trust}")
        print(f"  throughline models build --{known.kind} {path}")


@app.command()
def build(
    detector: Annotated[Path | None, typer.Option(help="ONNX weights of a detector.")] = None,
    reid: Annotated[
        Path | None, typer.Option(help="ONNX weights that give one descriptor a crop, or a torchreid checkpoint.")
    ] = None,
    target: Annotated[
        Target, typer.Option(help="tensorrt also makes the plan, on the GPU that will serve.")
    ] = Target.CPU,
    repository: Repository = _HERE,
    class_name: Annotated[list[str] | None, typer.Option(help="Class of the detector's weights, in order.")] = None,
    detector_input: Annotated[
        Input | None, typer.Option(help="What the detector's weights expect; by default what its kind is trained with.")
    ] = None,
    reid_input: Annotated[Input, typer.Option(help="What the ReID weights expect.")] = Input.IMAGENET,
    licence: Annotated[
        str, typer.Option(help="Licence of the weights, as an SPDX name; known for those that `models add` fetched.")
    ] = "",
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT, for a detector that takes any.")] = "",
    labelled: Annotated[
        Path | None,
        typer.Option(help="Frames with labelled people, as MOT or COCO has them: tries other settings on them."),
    ] = None,
    int8: Annotated[
        Path | None,
        typer.Option(help="Pictures like those to come: the plan computes in INT8, its ranges taken from them."),
    ] = None,
) -> None:
    """Make models that Triton serves, and check that they do what the weights do."""
    if detector is None and reid is None:
        raise typer.BadParameter("give --detector FILE, --reid FILE or both")
    if int8 is not None and (target is not Target.TENSORRT or (detector is not None) == (reid is not None)):
        raise typer.BadParameter("--int8 is for --target tensorrt and one model: frames for a detector, crops for ReID")
    cards = []
    if detector is not None:
        cards.append(
            build_detector(
                detector,
                repository,
                class_names=class_name or (),
                normalisation=_NORMALISATIONS[detector_input] if detector_input else None,
                licence=_licence(detector, licence),
                size=_size(size),
                labelled=read_labelled(labelled, _LABELLED_FRAMES) if labelled else (),
            )
        )
    if reid is not None:
        normalisation = _NORMALISATIONS[reid_input]
        cards.append(build_reid(reid, repository, normalisation=normalisation, licence=_licence(reid, licence)))
    for card in cards:
        _report(card)
        if target is Target.TENSORRT:
            build_plan(repository / card.name, calibration_pictures(int8, card) if int8 else None)
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
    card = fit_calibration(repository / name, [_labelled(labels, tracks)], fitted_on or labels.name)
    if (found := card.calibration) is not None:
        print(f"{found.n_same} pairs of the same person, {found.n_different} of different people")


@app.command()
def swap(
    fresh: Annotated[Path, typer.Argument(help="A model in another repository, such as candidate/detector.")],
    triton: Annotated[str, typer.Option(help="HOST:PORT of the gRPC of the Triton that serves the repository.")],
    repository: Repository = _HERE,
) -> None:
    """Replace a model that is being served; jobs that began with the old one end with it.

    TLS to Triton is set as for trackers: THROUGHLINE_TRITON_TLS_CA, and so on.
    """
    version, card = load_version(repository / fresh.name, fresh, triton, tls=TrackerSettings().triton_tls)
    print(f"{repository / fresh.name}  version {version}  {card.digest[:12]}")


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


def _report(card: ModelCard) -> None:
    """The figures of the checks, and what labelled frames say."""
    for check in card.checks:
        print(f"{card.name}: {check.name} {check.value:.6g} (bar {check.bar:g})")
    for key, value in card.build.items():
        if key.startswith("ap50 "):
            print(f"{card.name}: AP50 of people, {key.removeprefix('ap50 ')}: {value:.3f}")
    if best := card.build.get(BETTER):
        Console(stderr=True).print(
            f"warning: {card.name} finds people clearly better with {best}; see --detector-input, or the page on models",
            style="yellow",
            markup=False,
        )


def _licence(weights: Path, given: str) -> str:
    record = read_record(weights)
    return given or (record.licence if record else "not declared")


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    width, sign, height = text.partition("x")
    if not (sign and width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"--size: {text!r} is not WIDTHxHEIGHT, such as 640x640")
    return int(width), int(height)


def _show_catalogue() -> None:
    table = Table(Column("name", no_wrap=True), "kind", Column("file", overflow="fold"), "licence", "SHA-256", "what")
    for each in catalogue.ENTRIES:
        known = each.sha256[:12] or "as first fetched"
        table.add_row(each.name, each.kind, each.file, each.licence, known, escape(each.note))
    Console().print(table)


@contextmanager
def _bar(file: str) -> Iterator[Progress]:
    """A progress bar on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with ProgressBar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(escape(file), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _labelled(labels: Path, tracks: list[str]) -> list[LabelledCamera]:
    """All tracks of each camera, with the identities of those that are labelled."""
    identities = _identities(labels)
    cameras = []
    for text in tracks:
        camera, sign, folder = text.partition("=")
        if not sign:
            raise typer.BadParameter(f"--tracks: {text!r} is not CAMERA=FOLDER")
        embeddings = read_embeddings(Path(folder))
        if not (Path(folder) / CLEAR_FILE).exists():
            raise InvalidInput(
                f"{folder} has no {CLEAR_FILE}: its tracks were made before poor crops were kept; track again, and label those tracks"
            )
        known = {number: who for (where, number), who in identities.items() if where == camera}
        cameras.append(LabelledCamera(embeddings, known))
    if not any(np.isin(each.embeddings.track_ids, list(each.people)).any() for each in cameras):
        raise InvalidInput(f"no track of {', '.join(tracks)} is labelled in {labels}")
    return cameras


def _identities(labels: Path) -> dict[tuple[str, int], str]:
    try:
        with labels.open(newline="") as file:
            return {(row["camera"], int(row["track_id"])): row["identity"] for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError) as error:
        raise InvalidInput(
            f"{labels} cannot be read as CSV with the columns camera, track_id and identity: {error!r}"
        ) from error
