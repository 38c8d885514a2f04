"""What lies beside a film: captions that a player shows on request, the person's boxes to draw over it, and a cover picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from throughline.domain.geometry import Letterbox, Size, area
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, Instant
from throughline.domain.timeline import Appearance
from throughline.renderer.documents import BoxesDocument, BoxTrack, FilmSegment, FilmTile
from throughline.renderer.layout import exceeds
from throughline.renderer.redaction import Redactor
from throughline.renderer.sheet import Best
from throughline.renderer.sources import CameraSource, Sources

COVER_SIZE = Size(1280, 720)
_LEAST_CUE_NS = 100 * NS_PER_MS


def captions(segments: Sequence[FilmSegment]) -> str:
    """WebVTT that names the cameras shown and the UTC, a cue for every second of the clock."""
    cues = (cue for segment in segments for cue in _cues(segment))
    return "\n\n".join(["WEBVTT", *cues]) + "\n"


def _cues(segment: FilmSegment) -> Iterator[str]:
    names = " + ".join(tile.camera for tile in segment.tiles)
    cameras = names.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    start = segment.utc.start
    while start < segment.utc.end:
        second = Instant((start.ns // NS_PER_SECOND + 1) * NS_PER_SECOND)
        end = segment.utc.end if segment.utc.end - second < _LEAST_CUE_NS else second
        span = (_clock(segment.film_start_ns + (moment - segment.utc.start)) for moment in (start, end))
        yield f"{' --> '.join(span)}\n{cameras}\n{start.to_datetime():%Y-%m-%d %H:%M:%S} UTC"
        start = end


def _clock(film_ns: int) -> str:
    milliseconds = film_ns // NS_PER_MS
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def boxes(sources: Sources, segments: Sequence[FilmSegment], size: Size, max_gap_ns: int) -> BoxesDocument:
    """Every box of the film's tracks while they are shown, in pixels of the film."""
    tracks = (
        track
        for number, segment in enumerate(segments)
        for tile in segment.tiles
        for track in _box_tracks(sources.camera(tile.camera), number, segment, tile)
    )
    return BoxesDocument(size, max_gap_ns, tuple(tracks))


def _box_tracks(source: CameraSource, number: int, segment: FilmSegment, tile: FilmTile) -> Iterator[BoxTrack]:
    shown = tile.camera_time
    frame = source.size_at(
        shown.start + shown.duration_ns // 2
    )  # one size all the while; its ends may be a nanosecond off
    scale = np.array([tile.picture.width / frame.width, tile.picture.height / frame.height] * 2)
    offset = np.array([tile.picture.left, tile.picture.top] * 2)
    for track_id in tile.tracks:
        rows = source.track(track_id)
        seen = np.flatnonzero((rows.times_ns >= shown.start.ns) & (rows.times_ns < shown.end.ns))
        if not len(seen):
            continue
        utc = (source.clock.to_utc(Instant(int(time))) for time in rows.times_ns[seen])
        times = tuple(segment.film_start_ns + max(0, each - segment.utc.start) for each in utc)
        placed = np.round(rows.boxes[seen] * scale + offset).astype(int)
        yield BoxTrack(number, tile.camera, track_id.number, times, tuple(map(tuple, placed.tolist())))


def write_cover(path: Path, sources: Sources, views: Sequence[tuple[Appearance, Best]], redactor: Redactor) -> None:
    """Write the picture that shows the person largest, of the best views of all appearances, as a JPEG."""

    def share(view: tuple[Appearance, Best]) -> float:
        size = sources.camera(view[0].camera).size_at(view[1].time)
        return float(area(view[1].box)[0]) / (size.width * size.height)

    appearance, best = max(views, key=share)
    source = sources.camera(appearance.camera)
    frame = source.frame_at(best.time)
    size = Letterbox(frame.size, COVER_SIZE).scaled if exceeds(frame.size, COVER_SIZE) else frame.size
    picture = frame.rgb(size)
    hiding = redactor.hiding(source, appearance.span, sources.wanted)
    if hiding is not None:
        hiding.hide(picture, frame.time, frame.size)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
    path.write_bytes(data.tobytes())
