"""How far cameras' clocks are off each other, measured from people who went both ways between them or were in both views at
once. Numbers only."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.shared_views import Offset
from throughline.domain.time import NS_PER_MS
from throughline.domain.topology import Way
from throughline.domain.transits import LEAST_PAIRS

_MEDIAN = 1.2533 * 1.4826
"""Standard error of a median of n values: so many median absolute deviations over the root of n."""
_ONE_WAY = 0.1
"""One way may take longer than back by so much of the time that it takes, as one standard deviation."""
_LEAST_UNCERTAINTY_NS = 100 * NS_PER_MS
_SURE = 3.0
"""Standard deviations from which on an offset is told of."""


@dataclass(frozen=True, slots=True)
class MeasuredClock:
    """UTC of a camera is `offset_ns` off what most others agree on, or where it is `held`, off the clocks that were given; positive
    where it is ahead; one standard deviation; from `pairs` of tracks of it and others."""

    camera: str
    offset_ns: int
    uncertainty_ns: int
    pairs: int
    held: bool = False

    @property
    def is_sure(self) -> bool:
        return abs(self.offset_ns) > _SURE * self.uncertainty_ns


def measure_clocks(
    gaps: Mapping[Way, Sequence[int]], given: Collection[str] = (), at_once: Mapping[Way, Offset] | None = None
) -> tuple[MeasuredClock, ...]:
    """Clocks of all cameras between which enough people went both ways, or that saw enough people at once, but those of `given` ones,
    in order of name.

    gaps: by way the nanoseconds from leaving one view to entering the other, negative where they overlap. A clock that is ahead makes
    the way to its camera longer and the way back shorter by as much: half the difference of the medians is the offset. What the ways
    say together is settled by least squares, and held to the median of the clocks, since most are right.
    at_once: by pair of cameras, in order of name, what was measured where their views overlap.
    """
    found = {
        (one, other): (_offset(gaps[one, other], gaps[other, one]), len(gaps[one, other]) + len(gaps[other, one]))
        for one, other in gaps
        if one < other and min(len(gaps[one, other]), len(gaps.get((other, one), ()))) >= LEAST_PAIRS
    }
    for way, offset in (at_once or {}).items():
        seen = (float(offset.offset_ns), float(offset.uncertainty_ns) ** 2), offset.pairs
        found[way] = _together(found[way], seen) if way in found else seen
    clocks: list[MeasuredClock] = []
    for group in _groups(found):
        clocks += _settled(group, {way: each for way, each in found.items() if way[0] in group}, given)
    return tuple(sorted(clocks, key=lambda each: each.camera))


def _offset(there: Sequence[int], back: Sequence[int]) -> tuple[float, float]:
    """How far the second camera's clock is ahead of the first's, and its variance."""
    (one, one_error), (other, other_error) = _middle(there), _middle(back)
    walked = abs(one + other) / 2
    variance = (one_error**2 + other_error**2 + (_ONE_WAY * walked) ** 2) / 4
    return (one - other) / 2, max(variance, float(_LEAST_UNCERTAINTY_NS) ** 2)


def _middle(values: Sequence[int]) -> tuple[float, float]:
    """Median and its standard error."""
    numbers = np.asarray(values, np.float64)
    middle = float(np.median(numbers))
    return middle, _MEDIAN * float(np.median(np.abs(numbers - middle))) / math.sqrt(len(numbers))


_Found = tuple[tuple[float, float], int]
"""How far the second of two clocks is ahead, its variance, and from how many pairs of tracks."""


def _together(one: _Found, other: _Found) -> _Found:
    """What two measurements of the same clocks say, each as much as it is sure."""
    ((first, first_variance), pairs), ((second, second_variance), more) = one, other
    variance = 1 / (1 / first_variance + 1 / second_variance)
    return ((first / first_variance + second / second_variance) * variance, variance), pairs + more


def _groups(ways: Mapping[Way, object]) -> list[list[str]]:
    """Cameras that ways join, each group and its cameras in order."""
    groups: list[set[str]] = []
    for way in ways:
        joined = [group for group in groups if group & set(way)]
        groups = [group for group in groups if group not in joined] + [set(way).union(*joined)]
    return sorted(sorted(group) for group in groups)


def _settled(group: list[str], ways: Mapping[Way, _Found], given: Collection[str]) -> list[MeasuredClock]:
    index = {camera: number for number, camera in enumerate(group)}
    normal, right = np.zeros((len(group), len(group))), np.zeros(len(group))
    pairs = np.zeros(len(group), np.int64)
    for (one, other), ((offset, variance), count) in ways.items():
        difference = np.zeros(len(group))
        difference[index[one]], difference[index[other]] = -1.0, 1.0
        normal += np.outer(difference, difference) / variance
        right += difference * offset / variance
        pairs += (difference != 0) * count
    free = [index[camera] for camera in group if camera not in given]
    inverse = np.linalg.pinv(normal[np.ix_(free, free)])
    offsets: NDArray[np.float64] = inverse @ right[free]
    held = len(free) < len(group)
    if not held:
        offsets -= np.median(offsets)
    return [
        MeasuredClock(group[row], round(offset), round(math.sqrt(variance)), int(pairs[row]), held)
        for row, offset, variance in zip(free, offsets.tolist(), np.diag(inverse).tolist(), strict=True)
    ]
