"""`throughline submit`: footage and a query become a job."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from throughline.cli import options
from throughline.cli.connection import CALL_SECONDS, orchestrator
from throughline.cli.watch import follow
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import SIMILARITY_SCALE_CALIBRATED, SIMILARITY_SCALE_COSINE, ClockMap, Interval
from throughline.wire.query_document import MAX_BYTES


class Scale(StrEnum):
    """What the threshold is compared with."""

    CALIBRATED = "calibrated"
    COSINE = "cosine"


class Search(StrEnum):
    """How closely all cameras are looked at."""

    FULL = "full"
    FAST = "fast"


class Hidden(StrEnum):
    """What of everybody else is made unrecognisable."""

    HEADS = "heads"
    BODIES = "bodies"


_REDACTIONS = {Hidden.HEADS: pb.REDACTION_HEADS, Hidden.BODIES: pb.REDACTION_BODIES}
_SEARCHES = {Search.FULL: pb.SEARCH_MODE_FULL, Search.FAST: pb.SEARCH_MODE_FAST}
_SCALES = {Scale.CALIBRATED: SIMILARITY_SCALE_CALIBRATED, Scale.COSINE: SIMILARITY_SCALE_COSINE}


def submit(
    footage: Annotated[
        str, typer.Argument(help="s3://bucket/prefix/ or file:///folder/, a folder per camera below it.")
    ],
    query: Annotated[
        str, typer.Argument(help="The query's JSON: a local file, or s3://... or file:///... for the server.")
    ],
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Least similarity. Default 0.5.")] = None,
    scale: Annotated[Scale, typer.Option(help="Scale of the threshold.")] = Scale.CALIBRATED,
    rate: Annotated[float | None, typer.Option(help="Frames analysed per second. Default 10.")] = None,
    search: Annotated[
        Search | None,
        typer.Option(help="fast: 2 frames a second first, and closely only where the person may be. Default full."),
    ] = None,
    window: Annotated[
        tuple[str, str] | None, typer.Option(help="Only footage between these two moments, ISO 8601 with a zone.")
    ] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Only this camera; may be given several times.")] = None,
    time_zone: Annotated[str, typer.Option(help="Zone of times in file names, such as Europe/Paris.")] = "",
    clock: Annotated[
        list[str] | None,
        typer.Option(help="CAMERA=SECONDS to add to that camera's time; may be given several times."),
    ] = None,
    tier: Annotated[str, typer.Option(help="host:port of the tier. Default: the deployment's.")] = "",
    callback: Annotated[str, typer.Option(help="host:port where the tier answers. Default: the deployment's.")] = "",
    alert: Annotated[str, typer.Option(help="host:port or https:// webhook. Default: the deployment's.")] = "",
    deadline: Annotated[int | None, typer.Option(help="Seconds that the tier has. Default three days.")] = None,
    max_candidates: Annotated[int, typer.Option(help="Most pairs sent to the tier. Default 500.")] = 0,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Order pairs with other tracks as context (k-reciprocal re-ranking).")
    ] = False,
    rounds: Annotated[int, typer.Option(help="Most rounds of review: the confirmed search again. Default 1.")] = 0,
    topology: Annotated[
        Path | None,
        typer.Option(help="YAML of transits between cameras and overlapping views. Default: the deployment's."),
    ] = None,
    site: Annotated[str, typer.Option(help="Name of the site; what is learned from answers stays with it.")] = "",
    measured_clocks: Annotated[
        bool,
        typer.Option(
            "--measured-clocks", help="Correct clocks that --clock leaves out by what confirmed pairs showed."
        ),
    ] = False,
    label: Annotated[list[str] | None, typer.Option(help="NAME=VALUE kept with the job; repeatable.")] = None,
    redact: Annotated[Hidden | None, typer.Option(help="Make everybody else unrecognisable in clips and film.")] = None,
    boxes: Annotated[bool | None, typer.Option("--boxes/--no-boxes", help="Draw boxes into the film.")] = None,
    captions: Annotated[bool | None, typer.Option("--captions/--no-captions", help="Burn camera and time in.")] = None,
    before: Annotated[float | None, typer.Option(help="Seconds filmed before an appearance. Default 0.3.")] = None,
    after: Annotated[float | None, typer.Option(help="Seconds filmed after an appearance. Default 0.3.")] = None,
    least: Annotated[float | None, typer.Option(help="Leave shorter appearances out, in seconds.")] = None,
    merge: Annotated[float | None, typer.Option(help="Film shorter absences, in seconds. Default 1.5.")] = None,
    tiles: Annotated[int | None, typer.Option(help="Most cameras shown at once. Default 9.")] = None,
    height: Annotated[int | None, typer.Option(help="Most pixels down of the film. Default 2160.")] = None,
    request_id: Annotated[str, typer.Option(help="Names this request: the same again is the same job.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Stay and show the progress.")] = False,
    home: options.Home = None,
) -> None:
    """Ask for a person to be found; print the job's id."""
    job_options = pb.JobOptions(
        similarity_threshold=threshold,
        threshold_scale=_SCALES[scale],
        analysis_rate=rate,
        search_mode=_SEARCHES[search] if search else pb.SEARCH_MODE_UNSPECIFIED,
        time_window=_window(window),
        cameras=camera or (),
        file_name_time_zone=time_zone,
        clock_maps=[ClockMap(camera=name, offset_ns=_seconds(text)) for name, text in _assignments("--clock", clock)],
        tier_target=tier,
        callback_target=callback,
        alert_target=alert,
        review_deadline_seconds=deadline,
        max_candidates=max_candidates,
        rerank=rerank,
        max_rounds=rounds,
        topology_yaml=_text(topology, "topology", "fewer cameras") if topology else "",
        site=site,
        apply_measured_clocks=measured_clocks,
        labels=dict(_assignments("--label", label)),
        redaction=_REDACTIONS[redact] if redact else pb.REDACTION_UNSPECIFIED,
    )
    film = pb.FilmOptions(
        boxes=boxes,
        captions=captions,
        before_seconds=before,
        after_seconds=after,
        least_seconds=least,
        merge_seconds=merge,
        max_tiles=tiles,
        max_height=height,
    )
    if film.ListFields():
        job_options.film.CopyFrom(film)
    request = pb.SubmitJobRequest(
        request_id=request_id or f"cli-{uuid.uuid4().hex}", footage_uri=footage, options=job_options
    )
    _set_query(request, query)
    with orchestrator(home) as stub:
        answer = stub.SubmitJob(request, timeout=CALL_SECONDS)
    print(answer.job_id)
    if watch:
        follow(home, answer.job_id, Console(stderr=True))


def _set_query(request: pb.SubmitJobRequest, query: str) -> None:
    if "://" in query:
        request.query_uri = query
        return
    request.query_json = _text(Path(query), "query", "fewer observations")


def _text(path: Path, what: str, less: str) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise typer.BadParameter(
                f"the {what} {path} has {size} bytes; at most {MAX_BYTES} are taken, so give {less}"
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"the {what} {path} cannot be read: {error}") from error


def _window(given: tuple[str, str] | None) -> Interval | None:
    if given is None:
        return None
    try:
        return Interval(start_ns=Instant.parse(given[0]).ns, end_ns=Instant.parse(given[1]).ns)
    except ValueError as error:
        raise typer.BadParameter(f"--window: {error}") from error


def _assignments(option: str, given: Iterable[str] | None) -> list[tuple[str, str]]:
    pairs = [text.partition("=") for text in given or ()]
    for name, sign, value in pairs:
        if not (name and sign):
            raise typer.BadParameter(f"{option}: {name}{sign}{value!r} is not NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def _seconds(text: str) -> int:
    """Nanoseconds of decimal seconds, exact."""
    try:
        return int((Decimal(text) * NS_PER_SECOND).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise typer.BadParameter(f"--clock: {text!r} is not a number of seconds") from error
