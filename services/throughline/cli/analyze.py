"""`throughline analyze`: any video to the three files that `throughline identify` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from throughline.cli.analysis import Analysis, analyse, check_places
from throughline.cli.identify import shown_work
from throughline.cli.inference import Models, Triton, inference
from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.time import Instant


def analyze(
    video: Annotated[
        Path,
        typer.Argument(
            help="The video: anything that FFmpeg reads as H.264, HEVC, AV1, VP9, MPEG-4 or MJPEG. Links are followed."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for analysis.mp4, tracks.csv and summary.json; default: named like the video."),
    ] = None,
    camera: Annotated[str, typer.Option(help="Who recorded it; default: the folder's name.")] = "",
    start: Annotated[
        str, typer.Option(help="When its first frame was taken, ISO 8601; default: what the file says.")
    ] = "",
    rate: Annotated[float, typer.Option(min=0.1, max=60, help="Frames analysed per second.")] = 10.0,
    triton: Triton = "",
    models: Models = None,
) -> None:
    """Find and track everybody in a video, and draw boxes and ids into a copy of it."""
    if not video.is_file():
        raise NotFound(f"{video} is no file; give a video")
    place = (out or Path(video.stem)).absolute()
    asked = Analysis(video.resolve(), place, camera or place.name, rate, _moment(start))
    check_places(asked)
    with inference(triton, models) as client, shown_work() as work:
        found = analyse(asked, client, work)
    print(f"{found.track_count} tracks of {found.box_count} boxes in {found.frame_count} analysed frames")
    for incident in found.incidents:
        print(f"warning: {incident.message}")
    print(place)


def _moment(text: str) -> Instant | None:
    try:
        return Instant.parse(text) if text else None
    except ValueError as error:
        raise InvalidInput(f"--start: {error}") from error
