"""Spatio-temporal IoU of a query with tracks: summed intersection over summed union along the query's time. Numbers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Boxes, area, intersection
from throughline.domain.query import Query
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, Instant, Interval, merge_intervals
from throughline.domain.tracks import Track

STEP_NS = 100 * NS_PER_MS
BRIDGED_NS = 2 * NS_PER_SECOND
"""Query and tracks are interpolated over gaps up to this; over longer ones they are not there."""
_MOST_INSTANTS = 5_000
_FRAGMENT_LEAST_IOU = 0.3
_FRAGMENT_LEAST_GAIN = 0.005
_FRAGMENT_MOST_SHARED = 0.1
_AGREED_LEAST_IOU = 0.4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class QueryPath:
    """A query at common instants. times_ns: (m,) int64, camera time; boxes: (m, 4) float32, none NaN."""

    times_ns: NDArray[np.int64]
    boxes: Boxes


def query_path(query: Query, most: int = _MOST_INSTANTS) -> QueryPath:
    """The query every 100 ms (further apart where that would be more than `most` instants), and at observations that stand alone."""
    track = Track(0, query.times_ns, query.boxes, np.ones(len(query.times_ns), np.float32))
    start, end = int(query.times_ns[0]), int(query.times_ns[-1])
    step = max(STEP_NS, -(-(end - start) // most))
    gaps = np.diff(query.times_ns, prepend=start - 2 * BRIDGED_NS, append=end + 2 * BRIDGED_NS) > BRIDGED_NS
    alone = query.times_ns[gaps[:-1] & gaps[1:]]
    times = np.unique(np.concatenate([np.arange(start, end + 1, step, dtype=np.int64), alone, [end]]))
    boxes = track.boxes_at(times, BRIDGED_NS)
    there = ~np.isnan(boxes[:, 0])
    return QueryPath(times[there], boxes[there])


@dataclass(frozen=True)
class Overlap:
    """One track along a query's path of m instants. shared, own: (m,) areas in square pixels of the intersection and of the
    track's box, 0 where the track is not there; there: (m,) bool."""

    track_id: int
    shared: Floats
    own: Floats
    there: NDArray[np.bool_]


def overlap(path: QueryPath, track: Track) -> Overlap:
    """How a track overlaps the query."""
    boxes = track.boxes_at(path.times_ns, BRIDGED_NS)
    there = ~np.isnan(boxes[:, 0])
    boxes = np.where(there[:, None], boxes, 0)
    return Overlap(
        track.track_id,
        np.where(there, intersection(path.boxes, boxes), 0).astype(np.float64),
        area(boxes).astype(np.float64),
        there,
    )


def iou(path: QueryPath, overlaps: Sequence[Overlap]) -> float:
    """Of the query with several tracks as one; where two are there, the first counts. 0..1."""
    shared, own = np.zeros(len(path.times_ns)), np.zeros(len(path.times_ns))
    free = np.ones(len(path.times_ns), bool)
    for each in overlaps:
        shared += np.where(free, each.shared, 0)
        own += np.where(free, each.own, 0)
        free &= ~each.there
    union = float(area(path.boxes).sum(dtype=np.float64) + own.sum() - shared.sum())
    return float(shared.sum()) / union if union > 0 else 0.0


def best_together(path: QueryPath, overlaps: Sequence[Overlap]) -> list[Overlap]:
    """The track that overlaps the query best, and greedily its fragments: tracks that do so in other parts of the query's time."""
    ranked = sorted(overlaps, key=lambda each: (-iou(path, [each]), each.track_id))
    chosen = ranked[:1]
    left = [each for each in ranked[1:] if _alike_where_there(path, each)]
    while left:
        taken = np.any([each.there for each in chosen], axis=0)
        now = iou(path, chosen)
        gains = [
            (iou(path, [*chosen, each]) - now, -index)
            for index, each in enumerate(left)
            if (each.there & taken).sum() <= _FRAGMENT_MOST_SHARED * each.there.sum()
        ]
        gain, index = max(gains, default=(0.0, 0))
        if gain < _FRAGMENT_LEAST_GAIN:
            break
        chosen.append(left.pop(-index))
    return chosen


def _alike_where_there(path: QueryPath, each: Overlap) -> bool:
    union = float((area(path.boxes) + each.own - each.shared)[each.there].sum())
    return union > 0 and float(each.shared.sum()) / union >= _FRAGMENT_LEAST_IOU


def agreement(path: QueryPath, overlaps: Sequence[Overlap]) -> tuple[Interval, ...]:
    """Stretches of camera time in which one of the tracks overlaps the query well, in order."""
    query = area(path.boxes).astype(np.float64)
    agreed = np.zeros(len(query), bool)
    for each in overlaps:
        agreed |= each.shared >= _AGREED_LEAST_IOU * (query + each.own - each.shared)
    around = [Interval(Instant(at - STEP_NS), Instant(at + STEP_NS)) for at in path.times_ns[agreed].tolist()]
    return tuple(merge_intervals(around, STEP_NS))
