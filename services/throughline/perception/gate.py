"""Which frames of quiet footage need not be looked at, judged by packets and by looks at a few frames. Nothing is decoded here.

A *look* is a frame that the detector sees whatever happens; a *stretch* is what lies between two looks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND, seconds_to_ns
from throughline.media.frame import Frame
from throughline.media.packets import CodedFrames

_CHEAP_NS = 3 * NS_PER_SECOND // 10
"""So soon after a keyframe a frame is decoded for little more than the keyframe itself."""
_LEAST_STRETCHES = 4
"""Of fewer it can't be told what is usual."""
_LOWEST, _LOW = 0.05, 0.3
_SPREADS = 4.0
_LEAST_RISE = 0.05
_GLANCE_PX = 16
"""One value of a glance stands for a square of so many pixels."""

Glance = NDArray[np.float32]
"""(rows, columns) grey levels: a look, seen from far away."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """`longest_seconds`: between two looks at most. `linger_seconds`: so soon after somebody was seen nothing is skipped.
    `least_score`: of the detector, from which on somebody may be there. `least_change`: grey levels by which a place of the picture
    must differ between two looks to count."""

    longest_seconds: float = 2.0
    linger_seconds: float = 2.0
    least_score: float = 0.2
    least_change: float = 8.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of the coded frames: two looks, and whether packets in or beside it tell of something that moves."""

    first: int
    last: int
    busy: bool


def stretches(coded: CodedFrames, settings: GateSettings) -> list[Stretch]:
    """The wanted frames from the first to the last, divided at looks; none where fewer than two frames are wanted.

    Busy is what has larger packets than is usual in this footage, by more than they vary, or only keyframes, which tell nothing, and
    what lies beside it: who comes slowly shows little at first.
    """
    looks = _looks(coded, seconds_to_ns(settings.longest_seconds))
    sizes = _mean_sizes(coded, looks)
    told = np.isfinite(sizes)
    # Where no packet tells, something may move if there is a frame between the two looks that would be skipped.
    moving = ~told & (np.diff(np.cumsum(coded.wanted)[looks]) > 1)
    if told.sum() < _LEAST_STRETCHES:
        moving[:] = True
    else:
        lowest, low = np.quantile(sizes[told], [_LOWEST, _LOW])
        moving[told] = sizes[told] > low + max(_SPREADS * (low - lowest), _LEAST_RISE * low)
    busy = moving.copy()
    busy[1:] |= moving[:-1]
    busy[:-1] |= moving[1:]
    return [
        Stretch(first, last, each)
        for first, last, each in zip(looks[:-1].tolist(), looks[1:].tolist(), busy.tolist(), strict=True)
    ]


def glance(frame: Frame) -> Glance:
    """What `differ` compares."""
    size = Size(max(1, frame.size.width // _GLANCE_PX), max(1, frame.size.height // _GLANCE_PX))
    return np.asarray(frame.rgb(size).mean(axis=2), np.float32)


def differ(one: Glance, other: Glance, least_change: float) -> bool:
    """Whether some place of the picture has changed."""
    return one.shape != other.shape or bool(np.abs(one - other).max() >= least_change)


def _looks(coded: CodedFrames, longest_ns: int) -> NDArray[np.int64]:
    """Rows of the looks: the first and the last wanted frame, and between them each as late as `longest_ns` after the one before
    allows, just after a keyframe where one lies there."""
    rows = np.flatnonzero(coded.wanted)
    times, keyframes = coded.times_ns[rows], coded.times_ns[coded.keyframes]
    before = np.searchsorted(keyframes, times, side="right") - 1
    cheap = np.zeros(len(rows), np.bool_)
    cheap[before >= 0] = times[before >= 0] - keyframes[before[before >= 0]] <= _CHEAP_NS
    looks = [0] if len(rows) else []
    while looks and looks[-1] < len(rows) - 1:
        last = looks[-1]
        after = max(int(np.searchsorted(times, times[last] + longest_ns, side="right")), last + 2)
        near = np.arange(last + 1, after)
        best = near if after == len(rows) or not cheap[near].any() else near[cheap[near]]
        looks.append(int(best[-1]))
    return rows[looks]


def _mean_sizes(coded: CodedFrames, looks: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n - 1,) bytes of a packet after each look up to the next, keyframes left out; infinite where there is none."""
    sizes = np.where(coded.keyframes, 0, coded.sizes)
    totals = np.concatenate([[0], np.cumsum(sizes)])
    counts = np.diff(np.concatenate([[0], np.cumsum(~coded.keyframes)])[looks + 1])
    return np.where(counts > 0, np.diff(totals[looks + 1]) / np.maximum(counts, 1), np.inf)
