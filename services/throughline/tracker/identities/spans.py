"""Tracks in short, from the boxes of a video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from throughline.tracker.identities.footage import Footage
from throughline.tracker.identities.layout import VideoFolder
from throughline.tracker.identities.tracks import VideoTracks


def video_tracks(
    video: VideoFolder,
    footage: Footage,
    class_filter: tuple[str, ...] | None,
    vectors: Mapping[int, NDArray[np.float32]],
    dimension: int,
) -> VideoTracks:
    """The tracks of a video, each of the class that most of its boxes have; those without a vector get zeros."""
    rows = footage.rows
    numbers, firsts, counts = np.unique(rows.track_ids, return_index=True, return_counts=True)
    lasts = firsts + counts - 1
    names = tuple(
        _commonest(rows.classes[first : last + 1]) for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)
    )
    kept = [at for at, name in enumerate(names) if class_filter is None or name in class_filter]
    matrix = np.zeros((len(kept), dimension), np.float32)
    for row, at in enumerate(kept):
        vector = vectors.get(int(numbers[at]))
        if vector is not None:
            matrix[row] = vector
    return VideoTracks(
        video=replace(video.video, is_timed=footage.is_timed),
        numbers=numbers[kept],
        class_names=tuple(names[at] for at in kept),
        starts_ns=np.minimum.reduceat(footage.times_ns, firsts)[kept] if len(firsts) else footage.times_ns,
        ends_ns=np.maximum.reduceat(footage.times_ns, firsts)[kept] if len(firsts) else footage.times_ns,
        box_counts=counts[kept].astype(np.int64),
        vectors=matrix,
    )


def _commonest(names: tuple[str, ...]) -> str:
    counts = Counter(names)
    return min(counts, key=lambda name: (-counts[name], name))
