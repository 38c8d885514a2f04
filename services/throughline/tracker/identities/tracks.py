"""Tracks of many videos as columns: what identities are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, order=True)
class Video:
    """One video. `camera` names who recorded it; `is_timed` says that its times are UTC, not counted from its own start."""

    name: str
    camera: str
    is_timed: bool = True


@dataclass(frozen=True)
class Tracks:
    """All tracks of all videos, rows in order of (video's name, track's number), whatever order they were given in.

    video: (n,) int32, place in `videos`; numbers: (n,) int64; classes: (n,) int32, place in `class_names`; starts_ns, ends_ns: (n,)
    int64, of the first and last box; box_counts: (n,) int64; vectors: (n, d) float32 of length 1, or 0 where a track has no crop.
    """

    videos: tuple[Video, ...]
    class_names: tuple[str, ...]
    video: NDArray[np.int32]
    numbers: NDArray[np.int64]
    classes: NDArray[np.int32]
    starts_ns: NDArray[np.int64]
    ends_ns: NDArray[np.int64]
    box_counts: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def embedded(self) -> NDArray[np.bool_]:
        """(n,): which tracks have a descriptor."""
        return np.asarray(np.einsum("ij,ij->i", self.vectors, self.vectors) > 0)

    @property
    def keys(self) -> list[tuple[str, int]]:
        """Name of the video and number of each track."""
        names = [video.name for video in self.videos]
        return [
            (names[place], number) for place, number in zip(self.video.tolist(), self.numbers.tolist(), strict=True)
        ]

    @property
    def cameras(self) -> list[str]:
        """Camera of each track."""
        names = [video.camera for video in self.videos]
        return [names[place] for place in self.video.tolist()]


@dataclass(frozen=True)
class VideoTracks:
    """The tracks of one video, columns as in `Tracks`; `class_names`: (n) of each track."""

    video: Video
    numbers: NDArray[np.int64]
    class_names: tuple[str, ...]
    starts_ns: NDArray[np.int64]
    ends_ns: NDArray[np.int64]
    box_counts: NDArray[np.int64]
    vectors: NDArray[np.float32]


def gathered(parts: list[VideoTracks]) -> Tracks:
    """The tracks of several videos as one, in their own order. Descriptors of all must be equally long."""
    parts = sorted(parts, key=lambda part: part.video)
    class_names = tuple(sorted({name for part in parts for name in part.class_names}))
    place_of = {name: place for place, name in enumerate(class_names)}
    dimension = max((part.vectors.shape[1] for part in parts if len(part.vectors)), default=0)
    orders = [np.argsort(part.numbers, kind="stable") for part in parts]
    vectors = np.zeros((sum(map(len, orders)), dimension), np.float32)
    row = 0
    for part, order in zip(parts, orders, strict=True):
        if len(order):
            vectors[row : row + len(order)] = part.vectors[order]
        row += len(order)

    def column(name: str) -> NDArray[np.int64]:
        columns = [getattr(part, name)[order] for part, order in zip(parts, orders, strict=True)]
        return np.concatenate([np.zeros(0, np.int64), *columns])

    classes = [
        np.array([place_of[part.class_names[at]] for at in order.tolist()], np.int32)
        for part, order in zip(parts, orders, strict=True)
    ]
    return Tracks(
        videos=tuple(part.video for part in parts),
        class_names=class_names,
        video=np.repeat(np.arange(len(parts), dtype=np.int32), [len(order) for order in orders]),
        numbers=column("numbers"),
        classes=np.concatenate([np.zeros(0, np.int32), *classes]),
        starts_ns=column("starts_ns"),
        ends_ns=column("ends_ns"),
        box_counts=column("box_counts"),
        vectors=vectors,
    )
