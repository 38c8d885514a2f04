"""How the camera moves, from the boxes of people alone. No picture is read here, and no track is made.

Where the camera turns or shakes, all boxes are off from where their tracks' own motion leads, by the same number of pixels; where
people walk, alone or as a crowd, they are not. So each frame is laid on what the tracks predict by a robust shift, which is believed
only if it explains clearly more boxes than a camera that stands still: a fixed camera keeps a shift of exactly zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Boxes, iou_matrix
from throughline.domain.time import NS_PER_SECOND

Shift = NDArray[np.float64]
"""(2,) x and y, pixels."""

_LEAST_PEOPLE = 3
_LEAST_IOU = 0.3
_TOLERANCE = 0.01
"""Of a person's height: how closely a shift must explain a box to count about half."""
_ROBUST_TOLERANCE = 0.02
_CLEARLY_MORE = 1.3
_RECENT_SECONDS = 0.3
_SMOOTHING_SECONDS = 0.15
_LIFT = 0.3
"""Of the mean height: smaller people weigh no more than one of this."""


@dataclass(slots=True)
class _Walker:
    """Where a track was last seen and how it moves, in the coordinates of the first frame; pixels, seconds."""

    box: Boxes
    time_ns: int
    velocity: Shift
    steps: int = 0


class CameraMotion:
    """Lays frame after frame on the first one. `shift` is added to a frame's coordinates to get the first frame's."""

    def __init__(self, rate: float) -> None:
        """`rate`: frames per second."""
        self.shift: Shift = np.zeros(2)
        self._step: Shift = np.zeros(2)
        self._recent_ns = max(_RECENT_SECONDS, 1.5 / rate) * NS_PER_SECOND
        self._walkers: dict[int, _Walker] = {}

    def register(self, time_ns: int, boxes: Boxes) -> None:
        """Find the shift of a frame with (n, 4) xyxy boxes of people who were clearly seen; frames come in order of time."""
        self._walkers = {key: each for key, each in self._walkers.items() if time_ns - each.time_ns <= self._recent_ns}
        before = self.shift
        if min(len(self._walkers), len(boxes)) >= _LEAST_PEOPLE:
            expected = np.stack([_expected(each, time_ns) for each in self._walkers.values()])
            still = _explained(expected, boxes, before)
            # No shift explains more boxes than there are, so most frames of a fixed camera end here.
            if min(len(expected), len(boxes)) > _CLEARLY_MORE * still:
                found = [_fitted(expected, boxes, start) for start in (before, before + self._step)]
                best = max(found, key=lambda shift: _explained(expected, boxes, shift))
                if _explained(expected, boxes, best) > _CLEARLY_MORE * still:
                    self.shift = best
        self._step = self.shift - before

    def learn(self, track: int, time_ns: int, box: Boxes) -> None:
        """That a track continues with a box, in the coordinates of the first frame."""
        walker = self._walkers.get(track)
        if walker is None or time_ns <= walker.time_ns:
            self._walkers[track] = _Walker(box, time_ns, np.zeros(2))
            return
        seconds = (time_ns - walker.time_ns) / NS_PER_SECOND
        velocity = (_centres(box) - _centres(walker.box)) / seconds
        weight = 1.0 if walker.steps == 0 else 1.0 - float(np.exp(-seconds / _SMOOTHING_SECONDS))
        velocity = walker.velocity + weight * (velocity - walker.velocity)
        self._walkers[track] = _Walker(box, time_ns, velocity, walker.steps + 1)


class CameraPath:
    """The shifts of all frames so far; a camera that stands still takes no memory.

    breaks_ns: the times at which everything began anew; shifts on different sides of one have nothing to do with each other.
    """

    def __init__(self) -> None:
        self.breaks_ns: list[int] = []
        self._times_ns: list[int] = []
        self._shifts: list[tuple[float, float]] = []

    def begin_anew(self, time_ns: int) -> None:
        """From here on, shifts lead to the coordinates of another first frame."""
        self.breaks_ns.append(time_ns)

    def add(self, time_ns: int, shift: Shift) -> None:
        """The shift of the next frame."""
        new = (float(shift[0]), float(shift[1]))
        if not self._shifts or new != self._shifts[-1]:
            self._times_ns.append(time_ns)
            self._shifts.append(new)

    def shifts(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, 2) shifts at (n,) times of frames that were added."""
        if not self._shifts:
            return np.zeros((len(times_ns), 2))
        at = np.searchsorted(np.array(self._times_ns, np.int64), times_ns, side="right") - 1
        return np.array(self._shifts, np.float64)[np.maximum(at, 0)]


def shifted(boxes: Boxes, shift: Shift) -> Boxes:
    """(..., 4) boxes moved by a shift, or each by its own of (..., 2)."""
    return (boxes + np.concatenate([shift, shift], axis=-1)).astype(np.float32)


def _expected(walker: _Walker, time_ns: int) -> Boxes:
    return shifted(walker.box, walker.velocity * ((time_ns - walker.time_ns) / NS_PER_SECOND))


def _centres(boxes: Boxes) -> NDArray[np.float64]:
    return np.asarray(boxes[..., :2] + boxes[..., 2:], np.float64) / 2


def _matched(expected: Boxes, boxes: Boxes, shift: Shift) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of those who are each other's best match under a shift: (m, 2) how far their boxes are from it, and (m,) heights."""
    overlap = iou_matrix(expected, shifted(boxes, shift))
    best = overlap.argmax(axis=1)
    rows = np.flatnonzero(
        (overlap.max(axis=1) > _LEAST_IOU) & (overlap.argmax(axis=0)[best] == np.arange(len(expected)))
    )
    heights = np.maximum(expected[rows, 3] - expected[rows, 1], 1.0)
    return _centres(expected[rows]) - _centres(boxes[best[rows]]), heights


def _explained(expected: Boxes, boxes: Boxes, shift: Shift) -> float:
    """How many boxes a shift explains; those that fit only about count in part."""
    wanted, heights = _matched(expected, boxes, shift)
    residuals = np.linalg.norm(wanted - shift, axis=1) / heights
    return float((1 / (1 + (residuals / _TOLERANCE) ** 2)).sum())


def _fitted(expected: Boxes, boxes: Boxes, start: Shift) -> Shift:
    """The shift near `start` that most boxes agree on, by reweighted least squares; `start` where too few match."""
    shift = start
    for attempt in range(3):
        wanted, heights = _matched(expected, boxes, shift)
        if len(wanted) < _LEAST_PEOPLE:
            return start
        if attempt == 0:
            shift = np.median(wanted, axis=0)
        trust = 1 / np.maximum(heights / heights.mean(), _LIFT)
        for _ in range(10):
            residuals = np.linalg.norm(wanted - shift, axis=1) / heights
            weights = trust / (1 + (residuals / _ROBUST_TOLERANCE) ** 2)
            shift = (wanted * weights[:, None]).sum(axis=0) / weights.sum()
    return shift
