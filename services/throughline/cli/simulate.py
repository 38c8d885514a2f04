"""`throughline simulate`: a store that renders itself, with ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from throughline.domain.errors import InvalidInput
from throughline.simulation.settings import DEMO_SEED, SimulationSettings
from throughline.simulation.store import simulate as make_store
from throughline.simulation.truth import StoreTruth


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder for footage/, truth/ and queries/.")],
    seed: Annotated[int, typer.Option(min=0, help="Decides everything that happens.")] = DEMO_SEED,
    cameras: Annotated[int, typer.Option(min=1, max=12)] = 4,
    people: Annotated[int, typer.Option(min=1, max=60)] = 10,
    seconds: Annotated[float, typer.Option(min=1, help="Length of the recording.")] = 120.0,
    size: Annotated[tuple[int, int], typer.Option(help="Width and height of the frames.")] = (1280, 720),
    rate: Annotated[int, typer.Option(min=1, max=60, help="Frames per second.")] = 15,
    chunk_seconds: Annotated[int, typer.Option(min=1, help="Length of one video file.")] = 15,
) -> None:
    """Film a simulated store: the same seed gives the same people, ways and pixels."""
    settings = SimulationSettings(
        seed=seed,
        cameras=cameras,
        people=people,
        seconds=seconds,
        width=size[0],
        height=size[1],
        rate=rate,
        chunk_seconds=chunk_seconds,
    )
    truth = film(settings, out, Console(stderr=True))
    print(truth.footage)
    for query in truth.document.queries:
        print(out / query.file)


def film(settings: SimulationSettings, out: Path, console: Console) -> StoreTruth:
    """Render a store and show how far it is."""
    with Progress(console=console) as progress:
        task = progress.add_task(f"filming {settings.cameras} cameras", total=settings.cameras)
        try:
            return make_store(settings, out, lambda done, _: progress.update(task, completed=done))
        except ValueError as error:
            raise InvalidInput(str(error)) from error
