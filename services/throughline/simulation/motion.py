"""How people move: ways through the aisles with stops, sampled evenly in time, and the gait that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from throughline.simulation.crowd import Path, make_way
from throughline.simulation.layout import Layout

Array = NDArray[np.float64]

STEP_SECONDS = 1 / 15
"""Spacing of the samples of a walk."""
_COME_BACK = 0.6
"""Share of people who come a second time."""


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """One stay in the store. Arrays are samples `STEP_SECONDS` apart from `start` on."""

    start: float
    """Seconds after the recording's start; may be negative."""
    places: Array
    """(n, 2) metres."""
    headings: Array
    """(n,) radians, unwrapped."""
    speeds: Array
    """(n,) metres per second."""
    gaits: Array
    """(n,) radians: phase of the steps."""

    @property
    def end(self) -> float:
        """Seconds after the recording's start at which the person has left."""
        return self.start + (len(self.places) - 1) * STEP_SECONDS

    def at(self, seconds: float) -> tuple[Array, float, float, float] | None:
        """(2,) place, heading, speed and gait at a moment; None before and after the stay."""
        if not self.start <= seconds <= self.end:
            return None
        position = (seconds - self.start) / STEP_SECONDS
        index = min(int(position), len(self.places) - 2)
        part = position - index
        pair = slice(index, index + 2)
        weights = np.array([1 - part, part])
        return (
            weights @ self.places[pair],
            float(weights @ self.headings[pair]),
            float(weights @ self.speeds[pair]),
            float(weights @ self.gaits[pair]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What somebody means to do in one stay: a way, and for each of its samples the radians that they turn to the shelves."""

    path: Path
    turns: Array


def make_walks(layout: Layout, seconds: float, people: int, rng: np.random.Generator) -> list[tuple[Walk, ...]]:
    """Draw one or two stays for each of `people`, one after the other; the first may have begun before the recording."""
    plans = [_plans(layout, seconds, rng) for _ in range(people)]
    make_way([plan.path for each in plans for plan in each], layout)
    return [tuple(map(_moving, each)) for each in plans]


def _plans(layout: Layout, seconds: float, rng: np.random.Generator) -> list[_Plan]:
    stays = 2 if rng.random() < _COME_BACK else 1
    pace = float(rng.uniform(0.75, 1.25))
    begin = float(rng.uniform(-35.0, max(5.0, seconds * 0.55)))
    plans: list[_Plan] = []
    for _ in range(stays):
        plans.append(_plan(layout, round(begin / STEP_SECONDS), pace, rng))
        begin = plans[-1].path.end * STEP_SECONDS + float(rng.uniform(5.0, 12.0))
    return plans


def _plan(layout: Layout, begin: int, pace: float, rng: np.random.Generator) -> _Plan:
    points = _stops(layout, rng)
    side = float(rng.uniform(0.15, 0.45))
    track: list[Array] = []
    turns: list[Array] = []
    for (origin, _), (target, pause) in pairwise(points):
        corners = [origin, target] if layout.door in (origin, target) else layout.route(origin, target)
        for a, b in pairwise(corners):
            track.append(_leg(np.array(a), np.array(b), side, pace))
            turns.append(np.zeros(len(track[-1])))
        if pause:
            track.append(np.repeat(track[-1][-1:], round(pause / STEP_SECONDS), axis=0))
            turns.append(np.full(len(track[-1]), rng.choice([-1.0, 1.0]) * rng.uniform(0.8, 1.9)))
    return _Plan(Path(begin, _smooth(np.concatenate(track), 0.45)), np.concatenate(turns))


def _stops(layout: Layout, rng: np.random.Generator) -> list[tuple[tuple[float, float], float]]:
    """(point, seconds to stay there), from the door and back to it."""
    stops: list[tuple[tuple[float, float], float]] = [(layout.door, 0.0), (layout.entrance, 0.0)]
    for aisle in rng.permutation(len(layout.aisles))[: int(rng.integers(2, 5))]:
        x = float(rng.uniform(1.5, layout.width - 1.5))
        stops.append(((x, layout.aisles[aisle]), float(rng.uniform(1.5, 6.0)) if rng.random() < 0.75 else 0.0))
    return [*stops, (layout.entrance, 0.0), (layout.door, 0.0)]


def _leg(a: Array, b: Array, side: float, pace: float) -> Array:
    """(n, 2) even samples of a straight leg, kept `side` metres to the right of its middle."""
    length = float(np.linalg.norm(b - a))
    if length < 1e-6:
        return a[None]
    along = (b - a) / length
    right = np.array([along[1], -along[0]]) * side
    count = max(2, round(length / pace / STEP_SECONDS))
    return np.asarray(a + right + np.linspace(0.0, 1.0, count)[:, None] * (b - a))


def _moving(plan: _Plan) -> Walk:
    """Heading, speed and gait that follow from the way that somebody took."""
    places = _smooth(plan.path.places, 0.25)
    velocity = np.gradient(places, STEP_SECONDS, axis=0)
    speeds = np.hypot(velocity[:, 0], velocity[:, 1])
    headings = np.arctan2(velocity[:, 1], velocity[:, 0])
    moving = np.maximum.accumulate(np.where(speeds > 0.15, np.arange(len(speeds)), 0))
    headings = _smooth((np.unwrap(headings[moving]) + plan.turns)[:, None], 0.25)[:, 0]
    gaits = np.cumsum(speeds) * STEP_SECONDS * 2 * np.pi / 1.35
    return Walk(plan.path.begin * STEP_SECONDS, places, headings, speeds, gaits)


def _smooth(values: Array, sigma_seconds: float) -> Array:
    """Gaussian smoothing of (n, k) samples along time, the ends held."""
    radius = round(3 * sigma_seconds / STEP_SECONDS)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) * STEP_SECONDS / sigma_seconds) ** 2)
    padded = np.pad(values, ((radius, radius), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T], axis=1)
