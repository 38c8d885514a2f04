"""When a person was before a camera, by their tracks there: what a film shows of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.pairs import TrackId
from throughline.domain.time import NS_PER_SECOND, Instant, Interval
from throughline.domain.timeline import Appearance
from throughline.renderer.settings import FilmSettings
from throughline.renderer.sources import CameraSource

Box = NDArray[np.float32]

_EDGE_SHARE = 0.02
"""Who is nearer to the picture's edge than this share of it may have left there."""
_REACH, _SPEED = 0.4, 0.2
"""How far somebody who stays about moves: in body heights, at once and per second."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Boxes without a longer interruption. span: the camera's time, to the end of the last frame; boxes: first and last, (4,)."""

    span: Interval
    tracks: tuple[TrackId, ...]
    first: Box
    last: Box


def stretches(source: CameraSource, track: TrackId, settings: FilmSettings) -> list[Stretch]:
    """A track, divided where two of its boxes are further apart than `bridge_seconds`.

    Raise CorruptArtifact where the reel has no frame for one of their ends.
    """
    rows = source.track(track)
    cuts = np.flatnonzero(np.diff(rows.times_ns) > settings.bridge_ns) + 1
    found = []
    for times, boxes in zip(np.split(rows.times_ns, cuts), np.split(rows.boxes, cuts), strict=True):
        first, last = Instant(int(times[0])), Instant(int(times[-1]))
        source.frame_span(first)
        found.append(Stretch(Interval(first, source.frame_span(last).end), (track,), boxes[0], boxes[-1]))
    return found


def appearances(source: CameraSource, found: Iterable[Stretch], settings: FilmSettings) -> list[Appearance]:
    """Appearances of one camera in UTC, joined from stretches of any of its tracks.

    Stretches at most `bridge_seconds` apart are one appearance, and at most `still_seconds` apart where the person cannot have left
    in between: well within the picture before and after, and about the same place. Those shorter than `least_seconds` are left out.
    Each begins `before_seconds` before its boxes and ends `after_seconds` after them, as far as there is footage, with whole frames.
    """
    joined: list[Stretch] = []
    for each in sorted(found, key=lambda one: (one.span.start, one.span.end, one.tracks)):
        if joined and _goes_on(source, joined[-1], each, settings):
            joined[-1] = _together(joined[-1], each)
        else:
            joined.append(each)
    return [
        Appearance(
            source.name,
            source.clock.interval_to_utc(_widened(source, each.span, settings.before_ns, settings.after_ns)),
            each.tracks,
        )
        for each in joined
        if each.span.duration_ns >= settings.least_ns
    ]


def _goes_on(source: CameraSource, one: Stretch, other: Stretch, settings: FilmSettings) -> bool:
    gap_ns = other.span.start - one.span.end
    if gap_ns <= settings.bridge_ns:
        return True
    if gap_ns > settings.still_ns:
        return False
    if _at_edge(source, one.last, one.span.end) or _at_edge(source, other.first, other.span.start):
        return False
    heights = (one.last[3] - one.last[1], other.first[3] - other.first[1])
    moved = np.hypot(*(_foot(other.first) - _foot(one.last))) / max(1.0, float(np.mean(heights)))
    return bool(moved <= _REACH + _SPEED * gap_ns / NS_PER_SECOND)


def _at_edge(source: CameraSource, box: Box, time: Instant) -> bool:
    """Whether somebody stands where people leave the picture: at its left, its right, or below; nobody leaves by the ceiling."""
    size = source.size_at(time)
    margin = _EDGE_SHARE * size.width, _EDGE_SHARE * size.height
    return bool(box[0] <= margin[0] or box[2] >= size.width - margin[0] or box[3] >= size.height - margin[1])


def _foot(box: Box) -> Box:
    return np.array([(box[0] + box[2]) / 2, box[3]], np.float32)


def _together(one: Stretch, other: Stretch) -> Stretch:
    later = max(one, other, key=lambda each: each.span.end)
    span = Interval(one.span.start, later.span.end)
    return Stretch(span, tuple(sorted({*one.tracks, *other.tracks})), one.first, later.last)


def _widened(source: CameraSource, span: Interval, before_ns: int, after_ns: int) -> Interval:
    """A span of the camera's time with as much before and after it as there is footage, from the start of a frame to the end of one."""
    wide = span.padded(before_ns, after_ns)
    for gap in source.reader.reel.gaps:
        if gap.end <= span.start:
            wide = Interval(max(wide.start, gap.end), wide.end)
        elif gap.start >= span.end:
            wide = Interval(wide.start, min(wide.end, gap.start))
    footage = source.reader.reel.span
    wide = wide if footage is None else wide.intersection(footage) or span
    first, last = source.shown_at(wide.start), source.shown_at(wide.end + -1)
    return Interval(wide.start if first is None else first.start, wide.end if last is None else last.end)
