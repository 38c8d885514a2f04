"""The stage that finds the query's track among those of its camera."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from throughline.domain.errors import Conflict, FailedPrecondition, InvalidInput, InvalidQuery, QueryNotLocated
from throughline.domain.footage import Reel
from throughline.domain.pairs import TrackSpan
from throughline.domain.query import Query
from throughline.domain.time import NS_PER_SECOND, Instant, Interval
from throughline.domain.work import Incident
from throughline.media.reader import ReelReader
from throughline.storage import documents
from throughline.storage.tables import TRACKS_FILE, read_tracks
from throughline.storage.workspace import Artifact, Workspace
from throughline.tracker.artifacts import CameraTracks, read_reel
from throughline.tracker.clock_offset import LARGEST_NS, OffsetFit, best_offset
from throughline.tracker.overlap import (
    BRIDGED_NS,
    Overlap,
    QueryPath,
    agreement,
    best_together,
    iou,
    overlap,
    query_path,
)
from throughline.wire.query_document import QueryDocument, check_times, parse_query, resolve

QUERY_FILE = "query.json"
_DOUBTFUL_IOU = 0.6
_OFFSET_LEAST_GAIN = 0.2
_OFFSET_LEAST_NS = NS_PER_SECOND // 5
_NAMED = 3
"""Tracks named when none is close enough."""


@dataclass(frozen=True, slots=True)
class LocatedQuery:
    """The content of query.json. `iou`: of the query with all `tracks` together, the best first; spans are UTC.

    `agreed`: stretches of the camera's time in which the tracks stand where the query does; outside of them they may have gone
    over to somebody else. `asked` stands for what was asked: the query's JSON, the tracks searched, the least IoU.
    """

    camera: str
    label: str
    tracks: tuple[TrackSpan, ...]
    iou: float
    agreed: tuple[Interval, ...]
    observation_count: int
    camera_span: Interval
    incidents: tuple[Incident, ...]
    asked: str


class LocateStage:
    """Finds queries and keeps the results with their jobs."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def run(
        self, job_id: str, query_json: str, tracks: CameraTracks, reel_uri: str, min_iou: float
    ) -> tuple[Artifact, LocatedQuery]:
        """Find the query of a job among `tracks`.

        Raises InvalidQuery for a mistake in the JSON or times outside of the footage, QueryNotLocated where no track comes close.
        """
        if not 0 <= min_iou <= 1:
            raise InvalidInput(f"min_iou {min_iou:g}; give 0 to 1")
        folder = f"jobs/{job_id}/query"
        asked = hashlib.sha256("\n".join((query_json, tracks.artifact.uri, repr(min_iou))).encode()).hexdigest()
        artifact = self._workspace.find(folder)
        if artifact is None:
            query = self._query(query_json, tracks.camera, reel_uri)
            located = locate(query, tracks, min_iou, asked)
            with self._workspace.create(folder) as place:
                (place / QUERY_FILE).write_bytes(documents.dump(located))
            artifact = self._workspace.get(folder)
        located = read_located(artifact)
        if located.asked != asked:
            raise Conflict(f"job {job_id} has located another query already; submit a new job")
        return artifact, located

    def _query(self, query_json: str, camera: str, reel_uri: str) -> Query:
        document = parse_query(query_json)
        if document.camera != camera:
            raise InvalidQuery("camera", f"expected {camera!r}, whose tracks are searched, not {document.camera!r}")
        artifact = self._workspace.get(reel_uri)
        reel = read_reel(artifact)
        with ReelReader(reel, artifact.path) as reader:
            return read_query(document, reel, reader.chunk_frame_time)


def read_located(artifact: Artifact) -> LocatedQuery:
    """The content of a query artifact's query.json."""
    return documents.load(LocatedQuery, artifact.path(QUERY_FILE).read_bytes())


def read_query(document: QueryDocument, reel: Reel, chunk_frame_time: Callable[[str, int], Instant]) -> Query:
    """The query in pixels of the reel's frames; raise InvalidQuery for observations outside of its span."""
    query = resolve(document, chunk_frame_time)
    if reel.span is None:
        raise FailedPrecondition(f"camera {reel.camera} has no usable footage, so the query cannot be found in it")
    check_times(document, reel.span, f"the footage of camera {reel.camera}")
    start = query.span.start
    size = next((part.size for part in reel.parts if start < part.span.end), reel.parts[-1].size)
    if (size.width, size.height) == (document.frame_size.width, document.frame_size.height):
        return query
    return resolve(document, chunk_frame_time, size)


def locate(query: Query, tracks: CameraTracks, min_iou: float, asked: str) -> LocatedQuery:
    """Find the query among the tracks of its camera; raise QueryNotLocated where nothing comes close."""
    path = query_path(query)
    around = query.span.padded(BRIDGED_NS, BRIDGED_NS + 1)
    near = read_tracks(tracks.artifact.path(TRACKS_FILE), span=around)
    overlaps = [overlap(path, track) for track in near.tracks()]
    overlaps = [each for each in overlaps if each.shared.any()]
    chosen = best_together(path, overlaps)
    found = iou(path, chosen)
    offset = _offset(query, tracks, found) if found < max(min_iou, _DOUBTFUL_IOU) else None
    if not chosen or found < min_iou:
        raise QueryNotLocated(_why_not(query, path, overlaps, min_iou, offset))
    extents = tracks.extents()
    rows = [int(np.searchsorted(extents.ids, each.track_id)) for each in chosen]
    return LocatedQuery(
        camera=query.camera,
        label=query.label,
        tracks=tuple(
            tracks.span(int(extents.ids[row]), int(extents.starts_ns[row]), int(extents.ends_ns[row])) for row in rows
        ),
        iou=found,
        agreed=agreement(path, chosen),
        observation_count=len(query.times_ns),
        camera_span=query.span,
        incidents=() if offset is None else (_doubt(query, found, offset),),
        asked=asked,
    )


def _offset(query: Query, tracks: CameraTracks, found: float) -> OffsetFit | None:
    """A clock offset that explains the query much better than none."""
    around = query.span.padded(LARGEST_NS, LARGEST_NS)
    best = best_offset(query, read_tracks(tracks.artifact.path(TRACKS_FILE), span=around).tracks())
    if (
        best is None
        or best.iou < max(_DOUBTFUL_IOU, found + _OFFSET_LEAST_GAIN)
        or abs(best.offset_ns) < _OFFSET_LEAST_NS
    ):
        return None
    return best


def _why_not(
    query: Query, path: QueryPath, overlaps: Sequence[Overlap], min_iou: float, offset: OffsetFit | None
) -> str:
    ranked = sorted(((iou(path, [each]), each.track_id) for each in overlaps), key=lambda each: (-each[0], each[1]))
    named = ", ".join(f"track {track} with IoU {value:.2f}" for value, track in ranked[:_NAMED])
    best = f"the best are {named}" if named else "no track touches it"
    span = f"{query.span.start} to {query.span.end}"
    text = f"no track of camera {query.camera} reaches IoU {min_iou:g} with the query ({span}); {best}. "
    if offset is not None:
        return text + _offset_text(query, offset)
    return text + (
        f"No clock offset up to {LARGEST_NS // NS_PER_SECOND} s explains it. Check camera, times and boxes of the query, "
        "and that the person can be seen"
    )


def _offset_text(query: Query, offset: OffsetFit) -> str:
    seconds = offset.offset_ns / NS_PER_SECOND
    return (
        f"A clock offset would explain it: with {seconds:+.2f} s added to the query's times, track {offset.track_id} "
        f"reaches IoU {offset.iou:.2f}. Give the query's times by the clock of camera {query.camera}'s footage"
    )


def _doubt(query: Query, found: float, offset: OffsetFit) -> Incident:
    message = f"the query was located with IoU {found:.2f} only. {_offset_text(query, offset)}"
    return Incident("clock_offset_likely", query.camera, message, query.camera)
