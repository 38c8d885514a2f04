"""How tracks begin and end: where, how tall and how fast. Read as a stream; nothing is joined here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Boxes
from throughline.domain.time import NS_PER_SECOND

_STRETCH_NS = NS_PER_SECOND
"""Of a track at either end, by which its motion there is judged."""
_SETTLED_NS = 8 * NS_PER_SECOND
"""Tracks are written about in order of time: one without boxes for so long has most likely ended."""
_REST_SECONDS2 = 0.02
"""Spread of times (sum of squares) at which a measured velocity counts half, against none."""
_HEIGHTS = 5


class Motion(NamedTuple):
    """A track's state at one of its ends: centre x and y, height and velocity in pixels (a second) of the first frame, and in
    0..1 how well the velocity is known."""

    time_ns: int
    x: float
    y: float
    height: float
    velocity_x: float
    velocity_y: float
    certainty: float


class Ends(NamedTuple):
    """Of one track."""

    head: Motion
    tail: Motion


class _Rows(NamedTuple):
    times_ns: NDArray[np.int64]
    boxes: Boxes

    def joined(self, other: _Rows) -> _Rows:
        return _Rows(np.concatenate([self.times_ns, other.times_ns]), np.concatenate([self.boxes, other.boxes]))

    def within(self, first_ns: int, last_ns: int) -> _Rows:
        rows = (self.times_ns >= first_ns) & (self.times_ns <= last_ns)
        return _Rows(self.times_ns[rows], self.boxes[rows])


class TrackEnds:
    """Takes blocks of boxes, each track's in order of time; keeps boxes only of the ends of tracks that may go on."""

    def __init__(self) -> None:
        self._heads: dict[int, Motion] = {}
        self._tails: dict[int, Motion] = {}
        self._beginning: dict[int, _Rows] = {}
        self._ending: dict[int, _Rows] = {}

    def add(self, numbers: NDArray[np.int64], times_ns: NDArray[np.int64], boxes: Boxes) -> None:
        """numbers, times_ns: (n,) tracks and times of (n, 4) boxes in the coordinates of the first frame."""
        for number in np.unique(numbers).tolist():
            rows = numbers == number
            self._extend(number, _Rows(times_ns[rows], boxes[rows]))
        settled_ns = int(times_ns.max(initial=0)) - _SETTLED_NS
        for number in [number for number, rows in self._ending.items() if rows.times_ns[-1] < settled_ns]:
            self._settle(number)

    def ends(self) -> dict[int, Ends]:
        """Of all tracks, by number."""
        for number in list(self._ending):
            self._settle(number)
        return {number: Ends(head, self._tails[number]) for number, head in sorted(self._heads.items())}

    def _extend(self, number: int, new: _Rows) -> None:
        if number not in self._heads:
            rows = self._beginning[number].joined(new) if number in self._beginning else new
            start = int(rows.times_ns[0])
            self._beginning[number] = rows.within(start, start + _STRETCH_NS)
            if int(rows.times_ns[-1]) > start + _STRETCH_NS:
                self._begin(number)
        rows = self._ending[number].joined(new) if number in self._ending else new
        end = int(rows.times_ns[-1])
        self._ending[number] = rows.within(end - _STRETCH_NS, end)

    def _begin(self, number: int) -> None:
        self._heads[number] = _motion(self._beginning.pop(number), 0, slice(0, _HEIGHTS))

    def _settle(self, number: int) -> None:
        if number in self._beginning:
            self._begin(number)
        self._tails[number] = _motion(self._ending.pop(number), -1, slice(-_HEIGHTS, None))


def _motion(rows: _Rows, end: int, near: slice) -> Motion:
    """A straight line through the centres, by least squares that lean to rest where there is little to go by."""
    times = (rows.times_ns - rows.times_ns[end]) / NS_PER_SECOND
    centres = (rows.boxes[:, :2] + rows.boxes[:, 2:]).astype(np.float64) / 2
    since, mean = times - times.mean(), centres.mean(axis=0)
    spread = float((since**2).sum())
    velocity = since @ (centres - mean) / (spread + _REST_SECONDS2)
    x, y = (mean + velocity * since[end] + centres[end]) / 2
    heights = rows.boxes[near, 3] - rows.boxes[near, 1]
    return Motion(
        int(rows.times_ns[end]),
        float(x),
        float(y),
        max(float(np.median(heights)), 1.0),
        float(velocity[0]),
        float(velocity[1]),
        spread / (spread + _REST_SECONDS2),
    )
