"""The floor plan of a store: its room, furniture and door, and the ways between them. Metres; x right, y deep, z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

CEILING = 3.6
"""Height of the room in metres."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of furniture: an upright box on the floor, `kind` one of shelf or counter."""

    x0: float
    y0: float
    x1: float
    y1: float
    height: float
    kind: str
    style: int
    """Seed of its texture."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A room of `width` x `depth` metres whose shelves stand along x, between aisles joined by cross aisles."""

    width: float
    depth: float
    blocks: tuple[Block, ...]
    aisles: tuple[float, ...]
    """y of the middle of each aisle, the front one (at the door) first."""
    crossings: tuple[float, ...]
    """x of the middle of each cross aisle."""
    door: tuple[float, float]
    """Where people enter and leave: a point just outside the front wall."""
    style: int

    @property
    def entrance(self) -> tuple[float, float]:
        """The first point inside."""
        return self.door[0], self.aisles[0]

    def route(self, start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
        """Corners of the shortest way from one point in an aisle to another, both ends included."""
        if abs(start[1] - end[1]) < 1e-6:
            return [start, end]
        cross = min(self.crossings, key=lambda x: abs(start[0] - x) + abs(end[0] - x))
        return [start, (cross, start[1]), (cross, end[1]), end]


def make_layout(rng: np.random.Generator) -> Layout:
    """Draw a store: two to three rows of shelves, each of two halves around a middle cross aisle."""
    width, rows = float(rng.uniform(14.5, 18.0)), int(rng.integers(2, 4))
    aisle, shelf = float(rng.uniform(1.9, 2.4)), float(rng.uniform(0.8, 1.0))
    front = float(rng.uniform(2.6, 3.4))
    side = float(rng.uniform(2.0, 2.4))
    middle = width * float(rng.uniform(0.42, 0.58))
    gap = float(rng.uniform(1.8, 2.2))
    blocks, aisles, y = [], [front * 0.55], front
    for _ in range(rows):
        height = float(rng.uniform(1.5, 1.85))
        for x0, x1 in ((side, middle - gap / 2), (middle + gap / 2, width - side)):
            blocks.append(Block(x0, y, x1, y + shelf, height, "shelf", int(rng.integers(1 << 30))))
        aisles.append(y + shelf + aisle / 2)
        y += shelf + aisle
    depth = y + 0.55
    blocks.append(Block(0.3, y, width - 0.3, depth, 1.9, "shelf", int(rng.integers(1 << 30))))
    door_left = rng.random() < 0.5
    door_x = side * 0.6 + 0.6 if door_left else width - side * 0.6 - 0.6
    till = middle + (1.2 if door_left else -2.6)
    blocks.append(Block(till, 0.25, till + 1.5, 0.95, 1.0, "counter", int(rng.integers(1 << 30))))
    crossings = (side / 2, middle, width - side / 2)
    return Layout(
        width, depth, tuple(blocks), tuple(aisles), crossings, (door_x, -1.2), style=int(rng.integers(1 << 30))
    )
