"""Ground truth of who was where, and which person each of our own tracks shows by it. All times are the camera's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Boxes, iou_matrix
from throughline.domain.time import NS_PER_MS
from throughline.domain.tracks import TrackTable

NOBODY = -1
"""Stands for a person where there is none; persons are numbered from 0."""
_NEAREST_FRAME_NS = 70 * NS_PER_MS


@dataclass(frozen=True)
class CameraTruth:
    """Who stood where before one camera, a row per person and frame, in any order.

    times_ns: (n,) int64; persons: (n,) int64; boxes: (n, 4) float32, xyxy, pixels of the upright source frame;
    visibility: (n,) float32, the share of the person that can be seen, 0..1.
    """

    times_ns: NDArray[np.int64]
    persons: NDArray[np.int64]
    boxes: Boxes
    visibility: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TrackLabel:
    """The person that most boxes of a track show (NOBODY where most show none), and what the track is worth."""

    track_id: int
    person: int
    share: float
    """Of all boxes of the track, those on `person`, 0..1."""
    duration_ns: int
    median_height_px: float


def label_tracks(
    table: TrackTable, truth: CameraTruth, min_iou: float = 0.5, min_visibility: float = 0.1
) -> dict[int, TrackLabel]:
    """For each track the person that it shows."""
    persons = label_boxes(table.times_ns, table.boxes, truth, min_iou, min_visibility)
    labels: dict[int, TrackLabel] = {}
    for track_id in table.ids.tolist():
        rows = table.track_ids == track_id
        found, counts = np.unique(persons[rows], return_counts=True)
        times = table.times_ns[rows]
        labels[track_id] = TrackLabel(
            track_id=track_id,
            person=int(found[np.argmax(counts)]),
            share=float(counts.max() / rows.sum()),
            duration_ns=int(times[-1] - times[0]),
            median_height_px=float(np.median(table.boxes[rows, 3] - table.boxes[rows, 1])),
        )
    return labels


def label_boxes(
    times_ns: NDArray[np.int64], boxes: Boxes, truth: CameraTruth, min_iou: float, min_visibility: float
) -> NDArray[np.int64]:
    """(n,) int64: the person whose true box in the nearest frame overlaps each box most, NOBODY below `min_iou`."""
    persons = np.full(len(times_ns), NOBODY, np.int64)
    seen = np.flatnonzero(truth.visibility >= min_visibility)
    if not len(seen):
        return persons
    seen = seen[np.argsort(truth.times_ns[seen], kind="stable")]
    frames, starts = np.unique(truth.times_ns[seen], return_index=True)
    ends = np.append(starts[1:], len(seen))
    nearest = _nearest(frames, times_ns)
    near = np.abs(frames[nearest] - times_ns) <= _NEAREST_FRAME_NS
    for frame in np.unique(nearest[near]).tolist():
        rows = np.flatnonzero(near & (nearest == frame))
        there = seen[starts[frame] : ends[frame]]
        overlap = iou_matrix(boxes[rows], truth.boxes[there])
        best = overlap.argmax(axis=1)
        good = overlap[np.arange(len(rows)), best] >= min_iou
        persons[rows[good]] = truth.persons[there[best[good]]]
    return persons


def _nearest(frames: NDArray[np.int64], times_ns: NDArray[np.int64]) -> NDArray[np.intp]:
    """Index of the frame nearest to each time."""
    after = np.clip(np.searchsorted(frames, times_ns), 1, max(1, len(frames) - 1))
    after = np.minimum(after, len(frames) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(frames[before] - times_ns) <= np.abs(frames[after] - times_ns), before, after)
