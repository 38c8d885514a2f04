"""How people make way for each other: ways that were drawn without regard to others are bent until nobody walks through anybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from throughline.simulation.layout import Block, Layout

Array = NDArray[np.float64]

ELBOW_ROOM = 0.65
"""Metres between the middles of two people who pass or stand side by side."""
_FURNITURE_ROOM = 0.3
_ROUNDS = 40


@dataclass(slots=True, eq=False)
class Path:
    """A way on the common grid of time. places: (n, 2) metres, the first at `begin`, in steps of the grid."""

    begin: int
    places: Array

    @property
    def end(self) -> int:
        return self.begin + len(self.places)


def make_way(paths: Sequence[Path], layout: Layout) -> None:
    """Bend paths, all of one grid of time, in place: aside from each other, and never into furniture."""
    for _ in range(_ROUNDS):
        pushes = [np.zeros_like(path.places) for path in paths]
        for (one, first), (other, second) in combinations(zip(paths, pushes, strict=True), 2):
            for start, push in _encounters(one, other):
                first[start - one.begin :][: len(push)] += push
                second[start - other.begin :][: len(push)] -= push
        if not any(push.any() for push in pushes):
            return
        for path, push in zip(paths, pushes, strict=True):
            path.places += push / 2
            for block in layout.blocks:
                _leave(path.places, block)
            path.places[:, 0] = np.clip(path.places[:, 0], _FURNITURE_ROOM, layout.width - _FURNITURE_ROOM)


def _encounters(one: Path, other: Path) -> Iterator[tuple[int, Array]]:
    """Where two are too close: the step at which it begins and (n, 2) metres by which `one` should yield."""
    start, end = max(one.begin, other.begin), min(one.end, other.end)
    if end <= start:
        return
    apart = one.places[start - one.begin : end - one.begin] - other.places[start - other.begin : end - other.begin]
    lack = ELBOW_ROOM - np.hypot(apart[:, 0], apart[:, 1])
    close = np.flatnonzero(lack > 0)
    for steps in np.split(close, np.flatnonzero(np.diff(close) > 1) + 1):
        if len(steps):
            aside = _aside(apart, int(steps[lack[steps].argmax()]))
            yield start + int(steps[0]), lack[steps, None] / 2 * aside


def _aside(apart: Array, closest: int) -> Array:
    """(2,) unit vector, the same for a whole encounter, so that nobody turns back halfway: where one stood of the other when they
    were closest; across their way where they met head on."""
    between = apart[closest]
    if np.hypot(*between) < 1e-3:
        way = apart[min(closest + 1, len(apart) - 1)] - apart[max(closest - 1, 0)]
        between = np.array([-way[1], way[0]]) if np.hypot(*way) > 1e-6 else np.array([1.0, 0.0])
    return between / np.hypot(*between)


def _leave(places: Array, block: Block) -> None:
    """Move places that came too close to a piece of furniture to the nearest point that is free."""
    low = np.array([block.x0, block.y0]) - _FURNITURE_ROOM
    high = np.array([block.x1, block.y1]) + _FURNITURE_ROOM
    inside = np.flatnonzero(((places > low) & (places < high)).all(axis=1))
    if not len(inside):
        return
    ways_out = np.concatenate([places[inside] - low, high - places[inside]], axis=1)
    side = ways_out.argmin(axis=1)
    places[inside, side % 2] = np.where(side < 2, low[side % 2], high[side % 2])
