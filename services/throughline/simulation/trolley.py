"""The shopping trolley that some people push: a wire basket on four wheels, with goods in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from throughline.simulation.body import Capsule, Figure, Hull, vector
from throughline.simulation.people import Colour

Array = NDArray[np.float64]

AHEAD = 0.78
"""Metres from the person's middle to the trolley's."""
_WIRE = 0.011


def make_trolley(colour: Colour) -> Figure:
    """A trolley in its own frame (forward, left, up), its middle above the origin."""
    top = _corners(0.98, 0.43, 0.27)
    bottom = _corners(0.42, 0.33, 0.2)
    wheels = _corners(0.07, 0.36, 0.22)
    steel = (0.62, 0.6, 0.58)
    goods = [
        Capsule(np.array([x, y, 0.55]), np.array([x, y, z]), 0.1, 0.1, tint)
        for x, y, z, tint in (
            (-0.15, 0.05, 0.75, (0.2, 0.35, 0.7)),
            (0.12, -0.06, 0.66, (0.3, 0.65, 0.4)),
            (0.2, 0.1, 0.8, (0.7, 0.75, 0.8)),
        )
    ]
    wires = [Capsule(a, b, _WIRE, _WIRE, steel, 0.3) for a, b in _mesh(bottom, top)]
    frame = [Capsule(a, b, 0.016, 0.016, steel, 0.1) for a, b in zip(bottom, wheels, strict=True)]
    tyres = [
        Capsule(w - vector(0.02, 0, 0), w + vector(0.02, 0, 0), 0.065, 0.065, (0.12, 0.12, 0.12), 0.1) for w in wheels
    ]
    grip = Capsule(np.array([-0.5, 0.27, 1.04]), np.array([-0.5, -0.27, 1.04]), 0.022, 0.022, colour, 0.3)
    rim = [Capsule(top[i], top[(i + 1) % 4], 0.02, 0.02, colour, 0.35) for i in range(4)]
    floor = Hull(np.stack([_ring(0.4, 0.34, 0.21), _ring(0.45, 0.35, 0.22)]), ((0.45, 0.44, 0.43),), -0.3)
    return Figure((*goods, *wires, *frame, *tyres, *rim, grip), (floor,), ())


def _corners(z: float, long: float, wide: float) -> Array:
    return np.array([[long, wide, z], [long, -wide, z], [-long, -wide, z], [-long, wide, z]])


def _ring(z: float, long: float, wide: float) -> Array:
    angles = np.arange(12) * (2 * np.pi / 12)
    return np.column_stack([long * np.cos(angles), wide * np.sin(angles), np.full(12, z)])


def _mesh(bottom: Array, top: Array) -> list[tuple[Array, Array]]:
    """Wires of the basket: uprights along each side, and one hoop at half height."""
    wires = []
    for i in range(4):
        j = (i + 1) % 4
        wires += [
            (bottom[i] * (1 - part) + bottom[j] * part, top[i] * (1 - part) + top[j] * part)
            for part in np.linspace(0.0, 1.0, 6)[:-1]
        ]
        for level in (0.0, 0.5):
            mix = bottom * (1 - level) + top * level
            wires.append((mix[i], mix[j]))
    return wires
