"""Plans films: which camera is seen when, and where that lies in the film. All times are UTC, clock maps applied; nothing here is drawn."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from throughline.domain.pairs import TrackId
from throughline.domain.time import Instant, Interval


@dataclass(frozen=True, slots=True, order=True)
class Appearance:
    """One camera sees the person: `span` goes from their first frame to the end of their last."""

    camera: str
    span: Interval
    tracks: tuple[TrackId, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the film that shows the same cameras from its first to its last moment.

    film_start_ns: where it begins in the film; shown: in the order of their tiles; hidden: active, but no tile was free.
    """

    film_start_ns: int
    span: Interval
    shown: tuple[Appearance, ...]
    hidden: tuple[Appearance, ...] = ()

    @property
    def film_end_ns(self) -> int:
        return self.film_start_ns + self.span.duration_ns

    def film_time_ns(self, utc: Instant) -> int:
        """Where a moment of this segment lies in the film."""
        return self.film_start_ns + (utc - self.span.start)


def merged(appearances: Iterable[Appearance], bridge_ns: int = 0) -> tuple[Appearance, ...]:
    """Join what overlaps, touches or lies at most `bridge_ns` apart in the same camera; in order of (start, camera).

    Empty spans are left out: they show nothing.
    """
    result: list[Appearance] = []
    for appearance in sorted(appearances):
        if appearance.span.duration_ns == 0:
            continue
        last = result[-1] if result else None
        if last is None or last.camera != appearance.camera or appearance.span.start - last.span.end > bridge_ns:
            result.append(replace(appearance, tracks=tuple(sorted(set(appearance.tracks)))))
            continue
        result[-1] = Appearance(
            last.camera,
            Interval(last.span.start, max(last.span.end, appearance.span.end)),
            tuple(sorted({*last.tracks, *appearance.tracks})),
        )
    return tuple(sorted(result, key=_entrance))


def plan(
    appearances: Iterable[Appearance],
    max_tiles: int,
    gaps: Mapping[str, Sequence[Interval]] | None = None,
    changes: Mapping[str, Sequence[Instant]] | None = None,
) -> tuple[Segment, ...]:
    """Order merged appearances into a film: wall-clock order, a new segment whenever a camera enters or leaves.

    Who entered first has the first tile, and whoever is shown stays until they leave; beyond `max_tiles` the next one waits
    for a free tile. Moments that nobody appears in are jumped, and so are those for which none of the shown cameras has
    footage (`gaps`: by camera, in UTC). A segment also ends where the pictures of a camera change (`changes`: by camera, in UTC).
    Appearances of the same camera must not overlap: see `merged`.
    """
    if max_tiles < 1:
        raise ValueError(f"max_tiles is {max_tiles}; a film needs at least one tile")
    gaps, changes = gaps or {}, changes or {}
    present = sorted((a for a in appearances if a.span.duration_ns > 0), key=_entrance)
    stretches = (
        (span, shown, hidden)
        for span, shown, hidden in _stretches(present, max_tiles, gaps, changes)
        if shown and not all(_within_gap(span, gaps.get(a.camera, ())) for a in shown)
    )
    segments: list[Segment] = []
    for span, shown, hidden in stretches:
        last = segments[-1] if segments else None
        goes_on = last is not None and last.span.end == span.start and (last.shown, last.hidden) == (shown, hidden)
        if last is not None and goes_on and not any(span.start in changes.get(a.camera, ()) for a in shown):
            segments[-1] = replace(last, span=Interval(last.span.start, span.end))
        else:
            segments.append(Segment(last.film_end_ns if last else 0, span, shown, hidden))
    return tuple(segments)


def clipped(appearance: Appearance, window: Interval) -> Appearance | None:
    """The part of an appearance within a window, or None where they do not overlap."""
    span = appearance.span.intersection(window)
    return None if span is None else replace(appearance, span=span)


def excerpt(spans: Sequence[Interval], moments: Sequence[Instant], limit_ns: int) -> tuple[Interval, ...]:
    """What to show of footage that is too long: exactly `limit_ns` of the spans, which are in order and don't overlap.

    Shown are the beginning, the end, and what lies around the first of the `moments` and those of the others that stand apart from
    it, from each other and from both ends. Each is given as much before and after it, where there is footage.
    """
    total = sum(span.duration_ns for span in spans)
    if total <= limit_ns:
        return tuple(span for span in spans if span.duration_ns > 0)
    places = _apart([_played(spans, moment) for moment in moments], total, limit_ns // _APART)
    reach = bisect_left(range(limit_ns), limit_ns, key=lambda reach: _length(_around(places, reach, total)))
    windows = _around(places, reach, total)
    windows = _shortened(windows, _length(windows) - limit_ns)
    result, at = [], 0
    for span in spans:
        for window in windows:
            start, end = max(window[0] - at, 0), min(window[1] - at, span.duration_ns)
            if start < end:
                result.append(Interval(span.start + start, span.start + end))
        at += span.duration_ns
    return tuple(result)


_APART = 4
"""Moments of an excerpt lie at least this part of its length apart: more than five or six jumps nobody can follow."""
_Window = tuple[int, int]
"""Start and end, nanoseconds of the spans played end to end."""


def _played(spans: Sequence[Interval], moment: Instant) -> int:
    """Where a moment lies in spans that are played end to end."""
    return sum(min(max(moment - span.start, 0), span.duration_ns) for span in spans)


def _apart(places: Sequence[int], total: int, distance: int) -> list[int]:
    """Both ends, the first place, and each further one that is `distance` from all that were taken; in order."""
    taken = [0, total]
    for index, place in enumerate(places):
        if index == 0 or all(abs(place - other) >= distance for other in taken):
            taken.append(place)
    return sorted(taken)


def _around(places: Sequence[int], reach: int, total: int) -> list[_Window]:
    """Windows that reach so far before and after each place, joined where they touch."""
    windows: list[_Window] = []
    for place in places:
        start, end = max(place - reach, 0), min(place + reach, total)
        if windows and start <= windows[-1][1]:
            windows[-1] = (windows[-1][0], end)
        else:
            windows.append((start, end))
    return windows


def _length(windows: Sequence[_Window]) -> int:
    return sum(end - start for start, end in windows)


def _shortened(windows: Sequence[_Window], excess: int) -> list[_Window]:
    """Without the few nanoseconds that whole numbers gave too much: less at the beginning, then at the end of the windows."""
    result = []
    for start, end in windows:
        cut = min(excess, end - start)
        excess -= cut
        result.append((start, end - cut))
    return result


_Stretch = tuple[Interval, tuple[Appearance, ...], tuple[Appearance, ...]]


def _stretches(
    present: Sequence[Appearance],
    max_tiles: int,
    gaps: Mapping[str, Sequence[Interval]],
    changes: Mapping[str, Sequence[Instant]],
) -> Iterator[_Stretch]:
    """Everything between two neighbouring edges, with who is shown and who is hidden then."""
    spans = [appearance.span for appearance in present]
    cameras = {appearance.camera for appearance in present}
    spans += [gap for camera in cameras for gap in gaps.get(camera, ())]
    edges = {edge for span in spans for edge in (span.start, span.end)}
    edges.update(change for camera in cameras for change in changes.get(camera, ()))
    shown: list[Appearance] = []
    waiting: list[Appearance] = []
    coming = list(reversed(present))
    for start, end in pairwise(sorted(edges)):
        shown = [appearance for appearance in shown if appearance.span.end > start]
        waiting = [appearance for appearance in waiting if appearance.span.end > start]
        while coming and coming[-1].span.start <= start:
            waiting.append(coming.pop())
        while waiting and len(shown) < max_tiles:
            shown.append(waiting.pop(0))
        yield Interval(start, end), tuple(shown), tuple(waiting)


def _within_gap(span: Interval, gaps: Sequence[Interval]) -> bool:
    return any(gap.start <= span.start and span.end <= gap.end for gap in gaps)


def _entrance(appearance: Appearance) -> tuple[Instant, str]:
    return appearance.span.start, appearance.camera
