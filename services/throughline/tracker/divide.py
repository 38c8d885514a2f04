"""Finds where tracks went over from one person to another, by the looks of their crops. Nothing is written.

An association sees positions alone, and takes one person for the next where they pass close by. Once the crops are embedded, the
looks before and after any moment of a track can be compared: where they are more likely two people's than one's, it is two tracks.
Where another track begins on top of it, who was one may have become two, and the looks must say clearly that it goes on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from throughline.domain.calibration import Calibration
from throughline.domain.geometry import Boxes, area, intersection, iou_matrix
from throughline.domain.tracks import TrackEmbeddings
from throughline.storage.tables import track_blocks
from throughline.tracker.match import EVEN_ODDS

_LEAST_CROPS = 2
"""On each side of a division: the look of one crop alone may be the look of somebody who stood in between."""
_CLEARLY = 0.8
"""Least probability of the same person where another track begins on top of one."""
_ON_TOP_IOU = 0.45
_NEAREST_CROPS = 4
"""Crops on each side of such a moment that are compared."""


class Change(NamedTuple):
    """Two crops of one track, one after the other, the second of somebody else. Times of the camera."""

    before_ns: int
    after_ns: int


def divisions(table: Path, embeddings: TrackEmbeddings, calibration: Calibration) -> dict[int, list[int]]:
    """Times of the boxes that begin somebody else, in order, by track; tracks of one person are left out.

    Clear crops alone tell: a poor one may show whoever stands before the person.
    """
    begun = beginnings_on_top(table)
    divided: dict[int, list[int]] = {}
    changes: dict[int, list[Change]] = {}
    for track_id, rows in _tracks_of(embeddings):
        times = embeddings.times_ns[rows]
        weighted = embeddings.vectors[rows] * embeddings.qualities[rows, None]
        handed_over = list(_handed_over(times, weighted, begun.get(track_id, []), calibration))
        edges = [0, *np.searchsorted(times, handed_over).tolist(), len(times)]
        breaks = [at for first, after in pairwise(edges) for at in _breaks(weighted[first:after], first, calibration)]
        if handed_over:
            divided[track_id] = handed_over
        if breaks:
            changes[track_id] = [Change(int(times[at - 1]), int(times[at])) for at in breaks]
    for track_id, at in _least_overlaps(table, changes):
        divided[track_id] = sorted({*divided.get(track_id, ()), at})
    return divided


def beginnings_on_top(table: Path) -> dict[int, list[int]]:
    """When another track began on top of a track, in order, by track."""
    first: dict[int, tuple[int, Boxes]] = {}
    for block in track_blocks(table):
        ids, rows = np.unique(block.track_ids, return_index=True)
        for track_id, row in zip(ids.tolist(), rows.tolist(), strict=True):
            first.setdefault(track_id, (int(block.times_ns[row]), block.boxes[row]))
    by_time: dict[int, list[tuple[int, Boxes]]] = defaultdict(list)
    for track_id, (time_ns, box) in first.items():
        by_time[time_ns].append((track_id, box))
    moments = np.array(sorted(by_time), np.int64)
    found: dict[int, set[int]] = defaultdict(set)
    for block in track_blocks(table):
        rows = np.flatnonzero(np.isin(block.times_ns, moments))
        for time_ns in np.unique(block.times_ns[rows]).tolist():
            here = rows[block.times_ns[rows] == time_ns]
            overlaps = iou_matrix(block.boxes[here], np.stack([box for _, box in by_time[time_ns]]))
            for track_id in block.track_ids[here[overlaps.max(axis=1) >= _ON_TOP_IOU]].tolist():
                if time_ns > first[track_id][0]:
                    found[track_id].add(time_ns)
    return {track_id: sorted(times) for track_id, times in found.items()}


def _tracks_of(embeddings: TrackEmbeddings) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each track with the rows of its clear crops."""
    clear = np.flatnonzero(embeddings.clear)
    ids, starts = np.unique(embeddings.track_ids[clear], return_index=True)
    for track_id, (first, after) in zip(ids.tolist(), pairwise([*starts.tolist(), len(clear)]), strict=True):
        yield track_id, clear[first:after]


def _handed_over(
    times_ns: NDArray[np.int64], weighted: NDArray[np.float32], begun: Iterable[int], calibration: Calibration
) -> Iterator[int]:
    """Those of the moments at which others begin on top of a track after which it is not clearly the same person."""
    since = 0
    for moment in begun:
        at = int(np.searchsorted(times_ns, moment))
        before, after = weighted[max(since, at - _NEAREST_CROPS) : at], weighted[at : at + _NEAREST_CROPS]
        if len(before) and len(after) and calibration.apply(cosine(before.sum(axis=0), after.sum(axis=0))) < _CLEARLY:
            since = at
            yield moment


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.floating]:
    """Of two vectors of any length; 0 where one is zero."""
    return np.asarray(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-9))


def _breaks(weighted: NDArray[np.float32], offset: int, calibration: Calibration) -> Iterator[int]:
    """Crops that begin somebody else, in order: the most telling one of (m, d) weighted vectors, and those on both sides of it."""
    if len(weighted) < 2 * _LEAST_CROPS:
        return
    before = np.cumsum(weighted, axis=0)[_LEAST_CROPS - 1 : -_LEAST_CROPS]
    after = weighted.sum(axis=0) - before
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosines = (before * after).sum(axis=1) / np.maximum(norms, 1e-9)
    at = int(cosines.argmin())
    if calibration.apply(cosines[at]) >= EVEN_ODDS:
        return
    at += _LEAST_CROPS
    yield from _breaks(weighted[:at], offset, calibration)
    yield offset + at
    yield from _breaks(weighted[at:], offset + at, calibration)


def _least_overlaps(table: Path, changes: Mapping[int, list[Change]]) -> Iterator[tuple[int, int]]:
    """For each change the track and the time of a box: between the two crops, that which overlaps the one before it least."""
    rows: dict[tuple[int, Change], list[tuple[NDArray[np.int64], Boxes]]] = defaultdict(list)
    for block in track_blocks(table) if changes else ():
        for track_id in changes.keys() & set(np.unique(block.track_ids).tolist()):
            own = block.track_ids == track_id
            for change in changes[track_id]:
                within = own & (block.times_ns >= change.before_ns) & (block.times_ns <= change.after_ns)
                if within.any():
                    rows[track_id, change].append((block.times_ns[within], block.boxes[within]))
    for (track_id, _), pieces in rows.items():
        times, boxes = (np.concatenate(column) for column in zip(*pieces, strict=True))
        yield track_id, int(times[1 + _overlaps(boxes).argmin()])


def _overlaps(boxes: Boxes) -> NDArray[np.floating]:
    """(n - 1,) IoU of each of (n, 4) boxes with the next."""
    shared, areas = intersection(boxes[:-1], boxes[1:]), area(boxes)
    return np.asarray(shared / np.maximum(areas[:-1] + areas[1:] - shared, 1e-9))
