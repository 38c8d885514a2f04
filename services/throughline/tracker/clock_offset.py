"""Whether a query would fit a track if its times came from a clock that is off. Numbers only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import area, intersection
from throughline.domain.query import Query
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND
from throughline.domain.tracks import Track
from throughline.tracker.overlap import BRIDGED_NS, QueryPath, query_path

LARGEST_NS = 600 * NS_PER_SECOND
_COARSE_NS = 250 * NS_PER_MS
_FINE_NS = 20 * NS_PER_MS
_INSTANTS = 32


@dataclass(frozen=True, slots=True, order=True)
class OffsetFit:
    """Added to the query's times, `offset_ns` makes it overlap the track by `iou`."""

    iou: float
    offset_ns: int
    track_id: int


def best_offset(query: Query, tracks: Iterable[Track]) -> OffsetFit | None:
    """The offset up to ten minutes either way that fits best, to 20 ms; None where no track comes near."""
    path = query_path(query, _INSTANTS)
    best: OffsetFit | None = None
    best_track: Track | None = None
    for track in tracks:
        lowest = max(-LARGEST_NS, int(track.times_ns[0]) - int(path.times_ns[-1]))
        highest = min(LARGEST_NS, int(track.times_ns[-1]) - int(path.times_ns[0]))
        found = _best_of(path, track, np.arange(lowest, highest + 1, _COARSE_NS, dtype=np.int64))
        if found is not None and (
            best is None or (found.iou, -abs(found.offset_ns)) > (best.iou, -abs(best.offset_ns))
        ):
            best, best_track = found, track
    if best is None or best_track is None:
        return None
    around = np.arange(best.offset_ns - _COARSE_NS, best.offset_ns + _COARSE_NS + 1, _FINE_NS, dtype=np.int64)
    return max(best, _best_of(path, best_track, around) or best)


def _best_of(path: QueryPath, track: Track, offsets_ns: NDArray[np.int64]) -> OffsetFit | None:
    if not len(offsets_ns):
        return None
    times = (offsets_ns[:, None] + path.times_ns[None]).ravel()
    boxes = np.nan_to_num(track.boxes_at(times, BRIDGED_NS)).reshape(len(offsets_ns), -1, 4)
    shared = intersection(path.boxes[None], boxes).sum(axis=1, dtype=np.float64)
    union = area(path.boxes).sum(dtype=np.float64) + area(boxes).sum(axis=1, dtype=np.float64) - shared
    ious = shared / np.maximum(union, 1e-9)
    index = int(ious.argmax())
    return OffsetFit(float(ious[index]), int(offsets_ns[index]), track.track_id) if ious[index] > 0 else None
