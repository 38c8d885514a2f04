"""How far two cameras' clocks are off each other, from people who were in both views at once. Numbers only.

Both cameras look at one floor. So where somebody's feet are in one picture tells where they are in the other, by one mapping for
everybody, if both pictures are of the same moment. At each offset the mapping is fitted anew; at the true one it fits best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, Instant
from throughline.domain.tracks import Track

FURTHEST_NS = 10 * NS_PER_SECOND
"""Clocks that are further off each other are not found."""
LEAST_PEOPLE = 8
"""Fewer in both views at once say nothing."""
_STEP_NS = 200 * NS_PER_MS
_BRIDGED_NS = 500 * NS_PER_MS
_LEAST_SHARED = 5
"""Steps for which two tracks have to be there together, at an offset, to count for it."""
_LEAST_STEPS = 60
"""Of all people together, for an offset to be considered."""
_NEAR = 0.12
"""Of a person's height: how well boxes stand on the floor. What is off by more counts less and less."""
_FITS = 4
"""Rounds of fitting, each with weights by the one before."""
_STIFF = 1e-4
"""Keeps the mapping tame where people walked along one line only."""
_GROUPS = 10
"""People are left out in so many groups, one at a time, to see how sure the offset is."""
_APART = 5
"""Offsets so many steps from the best are its rivals."""
_LEAST_CONTRAST = 0.2
"""By so much of the cost the best rival has to fit worse."""
_LARGEST_SPREAD_NS = 250 * NS_PER_MS
_FLOOR_NS = 100 * NS_PER_MS
"""Uncertainty that stays however many people there are."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Offset:
    """A moment that the first camera's clock puts at `at` is `offset_ns` later by the second's; one standard deviation; from `pairs`
    of tracks."""

    offset_ns: int
    uncertainty_ns: int
    at: Instant
    pairs: int


def measure_offset(people: Sequence[tuple[Sequence[Track], Sequence[Track]]]) -> Offset | None:
    """How far the second camera's clock is ahead of the first's; None where that is not sure.

    people: each person's tracks by the first and by the second camera, times as the clocks give them or by what is known of them.
    """
    pairs = _pairs(people)
    fit = _fitted(pairs)
    if fit is None or not fit.contrast >= _LEAST_CONTRAST:
        return None
    together = [pair for pair in pairs if len(pair.shared(round(fit.steps)))]
    if len({pair.person for pair in together}) < LEAST_PEOPLE:
        return None
    groups = min(_GROUPS, len({pair.person for pair in pairs}))
    left_out = [_fitted([pair for pair in pairs if pair.person % groups != group]) for group in range(groups)]
    steps = [each.steps for each in left_out if each is not None]
    spread_ns = _STEP_NS * math.sqrt((groups - 1) * float(np.var(steps))) if len(steps) == groups else math.inf
    if spread_ns > _LARGEST_SPREAD_NS:
        return None
    at = int(np.median([pair.one.first for pair in together])) * _STEP_NS
    return Offset(
        round(fit.steps * _STEP_NS), round(math.hypot(spread_ns, _FLOOR_NS)), Instant(at), pairs=len(together)
    )


@dataclass(frozen=True, slots=True)
class _Walk:
    """A track in steps of time from `first` on. rows: (n, 3) middle, bottom and height of the box, NaN where they are not known."""

    first: int
    rows: Floats

    @classmethod
    def of(cls, track: Track) -> _Walk:
        first, last = -(-int(track.times_ns[0]) // _STEP_NS), int(track.times_ns[-1]) // _STEP_NS
        times_ns = np.arange(first, last + 1, dtype=np.int64) * _STEP_NS
        left, top, right, bottom = track.boxes_at(times_ns, _BRIDGED_NS).astype(np.float64).T
        return cls(first, np.stack([(left + right) / 2, bottom, np.maximum(bottom - top, 1)], axis=1))


@dataclass(frozen=True, slots=True)
class _Pair:
    """One person's tracks by both cameras. Of the `person`s, each has the next number."""

    person: int
    one: _Walk
    other: _Walk

    def shared(self, offset: int) -> Floats:
        """(n, 6) rows of the first and, so many steps later, of the second; none where they were together too shortly."""
        start = max(self.one.first, self.other.first - offset)
        end = min(self.one.first + len(self.one.rows), self.other.first - offset + len(self.other.rows))
        if end - start < _LEAST_SHARED:
            return np.empty((0, 6))
        one = self.one.rows[start - self.one.first : end - self.one.first]
        other = self.other.rows[start + offset - self.other.first : end + offset - self.other.first]
        rows = np.concatenate([one, other], axis=1)
        return np.asarray(rows[~np.isnan(rows).any(axis=1)])


def _pairs(people: Sequence[tuple[Sequence[Track], Sequence[Track]]]) -> list[_Pair]:
    """All that come as close to each other as clocks may be off."""
    found: list[_Pair] = []
    for ones, others in people:
        person = found[-1].person + 1 if found else 0
        walks = [_Walk.of(track) for track in others]
        for track in ones:
            one = _Walk.of(track)
            found += [
                _Pair(person, one, other)
                for other in walks
                if other.first - one.first - len(one.rows) < FURTHEST_NS // _STEP_NS
                and one.first - other.first - len(other.rows) < FURTHEST_NS // _STEP_NS
            ]
    return found


@dataclass(frozen=True, slots=True)
class _Fit:
    """How badly the mapping fits at each offset. costs: (m,) float64, from the earliest; NaN where too little was seen together."""

    costs: Floats

    @property
    def _best(self) -> int:
        return int(np.nanargmin(self.costs))

    @property
    def steps(self) -> float:
        """The best offset: the lowest point of the parabola through the lowest costs."""
        best, inner = self._best, 0.0
        around = self.costs[max(best - 1, 0) : best + 2]
        if len(around) == 3 and np.isfinite(around).all():
            inner = float((around[0] - around[2]) / 2 / max(around[0] - 2 * around[1] + around[2], 1e-12))
        return best - len(self.costs) // 2 + inner

    @property
    def contrast(self) -> float:
        """By how much the best of the rivals fits worse; NaN where there is none before or none after it."""
        before, after = self.costs[: max(self._best - _APART, 0)], self.costs[self._best + _APART + 1 :]
        if not (np.isfinite(before).any() and np.isfinite(after).any()):
            return math.nan
        return float(min(np.nanmin(before), np.nanmin(after)) - self.costs[self._best])


def _fitted(pairs: Sequence[_Pair]) -> _Fit | None:
    """None where too little was seen together at any offset."""
    furthest = FURTHEST_NS // _STEP_NS
    costs = np.full(2 * furthest + 1, np.nan)
    for row, offset in enumerate(range(-furthest, furthest + 1)):
        shared = [pair.shared(offset) for pair in pairs]
        rows = np.concatenate(shared) if shared else np.empty((0, 6))
        if len(rows) >= _LEAST_STEPS:
            costs[row] = (_cost(rows[:, :3], rows[:, 3:]) + _cost(rows[:, 3:], rows[:, :3])) / 2
    return _Fit(costs) if np.isfinite(costs).any() else None


def _cost(seen: Floats, wanted: Floats) -> float:
    """How badly feet in one picture tell those in the other: the mean logarithm of squared distances in heights of the person (the
    likelihood of a Cauchy distribution), of the quadratic mapping that is best by that. Both (n, 3), rows of walks."""
    x, y = ((seen[:, :2] - seen[:, :2].mean(axis=0)) / np.maximum(seen[:, :2].std(axis=0), 1)).T
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    stiff = np.diag([0.0, *[_STIFF] * 5])
    weights = wanted[:, 2] ** -2
    for _ in range(_FITS):
        weighed = terms * weights[:, None]
        mapping = np.linalg.solve(terms.T @ weighed + stiff * weights.sum(), weighed.T @ wanted[:, :2])
        squares = ((wanted[:, :2] - terms @ mapping) ** 2).sum(axis=1) / wanted[:, 2] ** 2 / _NEAR**2
        weights = wanted[:, 2] ** -2 / (1 + squares)
    return float(np.log1p(squares).mean())
