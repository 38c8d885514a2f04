"""Which boxes of a track give the crops that describe it."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from throughline.domain.geometry import Size
from throughline.perception.associate import Sighting
from throughline.perception.crops import BestMoments, qualities
from throughline.tracker.identities.config import Embed
from throughline.tracker.identities.table import BoxRows


class Sample(NamedTuple):
    """One crop: xyxy, pixels of the upright frame `frame` (from 0); quality 0..1."""

    track_id: int
    frame: int
    box: tuple[float, float, float, float]
    quality: float


def chosen(rows: BoxRows, size: Size, settings: Embed) -> dict[int, list[Sample]]:
    """By frame, the samples to cut: of each track the best boxes among those of every `frame_stride`-th frame, spread over its time.

    A track that is in none of these frames gives what it has. Boxes that are too small, or of a class that is not asked for, give none.
    """
    sides = rows.boxes[:, 2:] - rows.boxes[:, :2]
    usable = (sides >= settings.min_box_size).all(axis=1)
    if settings.class_filter is not None:
        usable &= np.array([name in settings.class_filter for name in rows.classes], bool)
    on_stride = usable & (rows.frames % settings.frame_stride == 0)
    lonely = np.setdiff1d(rows.track_ids[usable], rows.track_ids[on_stride])
    taken = on_stride | (usable & np.isin(rows.track_ids, lonely))
    quality = _qualities(rows, size)
    by_frame: defaultdict[int, list[Sample]] = defaultdict(list)
    ids = rows.track_ids
    edges = np.flatnonzero(np.diff(ids, prepend=-1, append=-1))
    for first, after in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        moments = BestMoments(settings.per_track_max_samples)
        for row in (first + np.flatnonzero(taken[first:after])).tolist():
            left, top, right, bottom = rows.boxes[row].tolist()
            # The frame stands for time: moments are spread over it, and looked up by it.
            moments.offer(
                Sighting(int(rows.frames[row]) * 40_000_000, (left, top, right, bottom), 1.0, float(quality[row]))
            )
        for each in moments.chosen() if moments.best else ():
            frame = each.time_ns // 40_000_000
            by_frame[frame].append(Sample(int(ids[first]), frame, each.box, each.quality))
    return dict(sorted(by_frame.items()))


def _qualities(rows: BoxRows, size: Size) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """(n,): how good a crop each box gives among the others of its frame."""
    quality = np.zeros(len(rows.frames), np.float32)
    order = np.argsort(rows.frames, kind="stable")
    for at in np.split(order, np.flatnonzero(np.diff(rows.frames[order])) + 1):
        quality[at] = qualities(rows.boxes[at], rows.scores[at], size)
    return np.maximum(quality, 1e-6)
