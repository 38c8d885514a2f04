"""From requests to orders: every field checked, every mistake answered by its name and what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from throughline.domain.errors import InvalidInput, LimitExceeded
from throughline.renderer.options import FilmOptions
from throughline.renderer.pairs import Pair, PairsOrder
from throughline.renderer.sources import CameraRefs
from throughline.renderer.timelines import TimelineOrder
from throughline.v1 import orchestrator_pb2, renderer_pb2, tracker_pb2
from throughline.wire.convert import artifact_from_proto, clock_map_from_proto, track_from_proto
from throughline.wire.film_options import MOST_TILES, film_problems

MOST_TRACKS = 10_000
"""Pairs of one call, and tracks of one film."""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")


def pairs_order(request: renderer_pb2.RenderPairsRequest) -> PairsOrder:
    """Raise InvalidInput or LimitExceeded where the request cannot be served."""
    _check_redaction(request.redaction)
    _check_count("query_tracks", request.query_tracks)
    _check_count("pairs", request.pairs, least=0)
    pairs = (Pair(_name("pair_id", pair.pair_id), track_from_proto(pair.candidate).track) for pair in request.pairs)
    return PairsOrder(
        _name("job_id", request.job_id),
        tuple(track_from_proto(track).track for track in request.query_tracks),
        _cameras(request.cameras),
        tuple({pair.pair_id: pair for pair in pairs}.values()),
    )


def timeline_order(request: renderer_pb2.RenderTimelineRequest) -> TimelineOrder:
    """Raise InvalidInput or LimitExceeded where the request cannot be served."""
    _check_redaction(request.redaction)
    _check_count("tracks", request.tracks)
    if request.revision < 1:
        raise InvalidInput(f"revision is {request.revision}; expected the film's number within the job, from 1")
    if not 0 <= request.max_tiles <= MOST_TILES:
        raise InvalidInput(f"max_tiles is {request.max_tiles}; expected 1 to {MOST_TILES}, or 0 for the renderer's own")
    return TimelineOrder(
        _name("job_id", request.job_id),
        request.revision,
        tuple(track_from_proto(track).track for track in request.tracks),
        _cameras(request.cameras),
        _film_options(request),
    )


def _film_options(request: renderer_pb2.RenderTimelineRequest) -> FilmOptions:
    film = request.film
    problem = next(film_problems(film), None)
    if problem is not None:
        raise InvalidInput(f"film.{problem}")
    given = {field.name: value for field, value in film.ListFields()}
    if "merge_seconds" in given:
        given["bridge_seconds"] = given.pop("merge_seconds")
    if request.max_tiles:
        given["max_tiles"] = request.max_tiles
    return FilmOptions(**given)


def _cameras(messages: Iterable[tracker_pb2.CameraTracks]) -> tuple[CameraRefs, ...]:
    return tuple(
        CameraRefs(
            message.camera,
            artifact_from_proto(message.reel).uri,
            artifact_from_proto(message.tracks).uri,
            clock_map_from_proto(message.clock_map)[1],
        )
        for message in messages
    )


def _check_redaction(redaction: orchestrator_pb2.Redaction.ValueType) -> None:
    if redaction not in (orchestrator_pb2.REDACTION_UNSPECIFIED, orchestrator_pb2.REDACTION_NONE):
        name = (
            orchestrator_pb2.Redaction.Name(redaction)
            if redaction in orchestrator_pb2.Redaction.values()
            else redaction
        )
        raise InvalidInput(f"redaction {name} is not served yet; nothing was rendered; expected REDACTION_NONE")


def _check_count(field: str, values: Sequence[object], least: int = 1) -> None:
    if len(values) < least:
        raise InvalidInput(f"{field} is empty; expected at least one")
    if len(values) > MOST_TRACKS:
        raise LimitExceeded(f"{field} has {len(values)} entries; at most {MOST_TRACKS} are rendered by one call")


def _name(field: str, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise InvalidInput(
            f"{field} is {value[:80]!r}; expected 1 to 128 letters, digits, dots, dashes and underscores"
        )
    return value
