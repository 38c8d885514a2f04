"""Traces the film's spans back: which camera's time each one shows, and in which bytes of which chunks that lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from throughline.domain.evidence import ByteRange, Method, SourceObject, SpanFacts, TileFacts
from throughline.domain.footage import Reel
from throughline.domain.time import ClockMap, Interval
from throughline.orchestrator.film_account import FilmAccount, Run, Segment
from throughline.storage.gops import GopTable


@dataclass(frozen=True, slots=True)
class CameraFootage:
    """One camera's reel, its groups of pictures (None where the reel is older than their table) and its clock."""

    reel: Reel
    gops: GopTable | None
    clock: ClockMap


@dataclass
class Tracer:
    """Traces spans; `sources` are the chunks that were met so far."""

    cameras: Mapping[str, CameraFootage]
    sources: list[SourceObject] = field(default_factory=list)
    _index: dict[tuple[str, int], int] = field(default_factory=dict)

    def spans(self, film: FilmAccount) -> tuple[SpanFacts, ...]:
        """All spans of the film, in order."""
        return tuple(self._span(segment, run) for segment in film.segments for run in _runs(segment))

    def _span(self, segment: Segment, run: Run) -> SpanFacts:
        start = segment.utc.start + (run.film_start_ns - segment.film_start_ns)
        utc = Interval(start, start + (run.film_end_ns - run.film_start_ns))
        tiles: Iterable[TileFacts]
        if run.method is Method.COPIED and run.camera and run.camera_time:
            tiles = self._tiles(run.camera, run.camera_time, run.part)
        else:
            tiles = (
                tile
                for shown in segment.tiles
                for tile in self._tiles(shown.camera, self.cameras[shown.camera].clock.interval_to_camera(utc), None)
            )
        return SpanFacts(run.film_start_ns, run.film_end_ns, run.method, utc, tuple(tiles))

    def _tiles(self, camera: str, camera_time: Interval, part: int | None) -> Iterator[TileFacts]:
        """One for each part of the reel that the time lies in; a single one without a part where there is no footage."""
        footage = self.cameras[camera]
        found = [
            (index, shown)
            for index, each in enumerate(footage.reel.parts)
            if part in (None, index) and (shown := each.span.intersection(camera_time)) is not None
        ]
        if not found:
            yield TileFacts(camera, None, camera_time, footage.clock.interval_to_utc(camera_time), ())
        for index, shown in found:
            ranges = tuple(self._ranges(camera, index, shown))
            yield TileFacts(camera, index, shown, footage.clock.interval_to_utc(shown), ranges)

    def _ranges(self, camera: str, part: int, shown: Interval) -> Iterator[ByteRange]:
        footage = self.cameras[camera]
        for number, chunk in enumerate(footage.reel.chunks):
            if chunk.part == part and chunk.span is not None and chunk.span.overlaps(shown):
                source = self._source(camera, number)
                yield from (ByteRange(source, *each) for each in _bytes(footage.gops, number, shown))

    def _source(self, camera: str, number: int) -> int:
        if (camera, number) not in self._index:
            self._index[camera, number] = len(self.sources)
            self.sources.append(_source_object(camera, self.cameras[camera], number))
        return self._index[camera, number]


def _runs(segment: Segment) -> Sequence[Run]:
    return segment.runs or (Run(segment.film_start_ns, segment.film_end_ns, Method.ENCODED),)


def _bytes(gops: GopTable | None, chunk: int, shown: Interval) -> Sequence[tuple[int | None, int | None]]:
    """The bytes of a chunk's groups of pictures that are shown, those joined that touch or overlap."""
    unknown = [(None, None)]
    if gops is None:
        return unknown
    needed = (gops.chunks == chunk) & (gops.starts_ns < shown.end.ns) & (gops.ends_ns > shown.start.ns)
    joined: list[tuple[int, int]] = []
    for start, end in sorted(zip(gops.source_starts[needed].tolist(), gops.source_ends[needed].tolist(), strict=True)):
        if start < 0:
            return unknown
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined or unknown


def _source_object(camera: str, footage: CameraFootage, number: int) -> SourceObject:
    chunk = footage.reel.chunks[number]
    span = chunk.span
    if span is None:
        raise ValueError(f"chunk {chunk.name} is not in the reel of camera {camera}")
    return SourceObject(
        camera=camera,
        name=chunk.name,
        uri=chunk.uri,
        etag=chunk.etag,
        version_id=chunk.version_id,
        size_bytes=chunk.size_bytes,
        sha256=chunk.sha256,
        stated=chunk.time.start if chunk.time else None,
        time_source=chunk.time.source if chunk.time else "",
        uncertainty_ns=chunk.time.uncertainty_ns if chunk.time else 0,
        snapped_ns=chunk.snapped_ns,
        first_pts_ns=chunk.first_pts_ns,
        stretch_ppb=chunk.stretch_ppb,
        camera_time=span,
        utc=footage.clock.interval_to_utc(span),
        frame_count=chunk.frame_count,
        undecodable_frames=chunk.undecodable_frames,
        dropped_frames=chunk.dropped_frames,
        problem=chunk.problem,
    )
