"""Which boxes of a track give the crops that describe it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from throughline.domain.errors import InvalidInput
from throughline.domain.geometry import Size
from throughline.perception.associate import Sighting
from throughline.perception.crops import BestMoments, qualities
from throughline.tracker.identities.config import Embed
from throughline.tracker.identities.table import BoxRows

_FRAME_NS = 40_000_000
"""Frames stand for time where moments are spread over a track."""
_FAR, _MOST_OUTSIDE = 1.2, 0.1


class Sample(NamedTuple):
    """One crop: xyxy, pixels of the upright frame `frame` (from 0); quality 0..1."""

    track_id: int
    frame: int
    box: tuple[float, float, float, float]
    quality: float


def chosen(rows: BoxRows, size: Size, settings: Embed) -> dict[int, list[Sample]]:
    """By frame, the samples to cut: of each track the best boxes among those of every `frame_stride`-th frame, spread over its time.

    A track that is in none of these frames gives what it has. Boxes of which too little is in the picture, or of a class that is not
    asked for, give none.
    """
    seen = np.clip(rows.boxes, 0, np.array([size.width, size.height] * 2, np.float32))
    sides = seen[:, 2:] - seen[:, :2]
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
            moments.offer(
                Sighting(int(rows.frames[row]) * _FRAME_NS, (left, top, right, bottom), 1.0, float(quality[row]))
            )
        for at, clear in moments.chosen() if moments.best else ():
            if clear:
                frame = at.time_ns // _FRAME_NS
                by_frame[frame].append(Sample(int(ids[first]), frame, at.box, at.quality))
    return dict(sorted(by_frame.items()))


def check_inside(rows: BoxRows, size: Size, source: Path) -> None:
    """Raise InvalidInput where many boxes lie outside or reach far out: edges were taken for sizes, or the video is another one."""
    edges = np.array([size.width, size.height])
    beyond = (rows.boxes[:, 2:] > _FAR * edges) | (rows.boxes[:, :2] >= edges) | (rows.boxes[:, 2:] <= 0)
    outside = beyond[:, 0] | beyond[:, 1]
    if outside.mean() > _MOST_OUTSIDE:
        raise InvalidInput(
            f"{source}: {int(outside.sum())} of {len(outside)} boxes lie outside of its {size.width}x{size.height}; are they of "
            'another video? If the columns are left,top,right,bottom, name them, or set "box_format": "xyxy" in summary.json'
        )


def _qualities(rows: BoxRows, size: Size) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """(n,): how good a crop each box gives among the others of its frame."""
    quality = np.zeros(len(rows.frames), np.float32)
    order = np.argsort(rows.frames, kind="stable")
    for at in np.split(order, np.flatnonzero(np.diff(rows.frames[order])) + 1):
        quality[at] = qualities(rows.boxes[at], rows.scores[at], size)
    return np.maximum(quality, 1e-6)
