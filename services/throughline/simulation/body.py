"""The human figure: joints from a gait, and its surfaces as capsules and rings in three dimensions, each with a colour."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from throughline.simulation.people import Appearance, Colour

Array = NDArray[np.float64]

RING_POINTS = 12
_ANGLES = np.arange(RING_POINTS) * (2 * np.pi / RING_POINTS)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Capsule:
    """A limb: two spheres and what lies between them, in metres of the body's own frame (forward, left, up)."""

    start: Array
    end: Array
    radius_start: float
    radius_end: float
    colour: Colour
    order: float = 0.0
    """Metres that it is drawn nearer than it is: decides between parts that touch."""


@dataclass(frozen=True, slots=True, eq=False)
class Hull:
    """A solid surface: what lies between elliptical rings, (k, RING_POINTS, 3) metres of the body's frame."""

    rings: Array
    colours: tuple[Colour, ...]
    """One for each of the k - 1 bands."""
    order: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A flat detail on a hull, drawn with it where its outside is seen: (n, 3) points and the side it is on (1 front, -1 back)."""

    points: Array
    colour: Colour
    side: int


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """All parts of one person at one moment."""

    capsules: tuple[Capsule, ...]
    hulls: tuple[Hull, ...]
    patches: tuple[Patch, ...]


def vector(forward: float, left: float, up: float) -> Array:
    """(3,) a place or a way in the body's frame."""
    return np.array([forward, left, up])


def ring(height: float, across: float, deep: float, forward: float = 0.0) -> Array:
    """(RING_POINTS, 3) points of a level ellipse, from the front over the left."""
    return np.column_stack([forward + deep * _CIRCLE[:, 0], across * _CIRCLE[:, 1], np.full(RING_POINTS, height)])


class Body:
    """One person's body, to be posed. What does not bend is made once."""

    def __init__(self, person: Appearance) -> None:
        self._person = person
        self._hulls, self._patches = _torso(person)

    def pose(self, speed: float, gait: float, reach: float) -> Figure:
        """The figure at a walking `speed` in m/s, a phase of the steps in radians, and a lift of the right arm in 0..1."""
        joints = _joints(self._person, speed, gait, reach)
        lift = joints["lift"]
        return Figure(
            (*_limbs(self._person, joints), *_head(self._person, float(lift[2]))),
            tuple(replace(hull, rings=hull.rings + lift) for hull in self._hulls),
            tuple(replace(patch, points=patch.points + lift) for patch in self._patches),
        )


def _joints(person: Appearance, speed: float, gait: float, reach: float) -> dict[str, Array]:
    h, b = person.height, person.build
    swing = 0.5 * min(1.0, speed / 1.0)
    joints: dict[str, Array] = {}
    for side, sign, phase in (("l", 1.0, gait), ("r", -1.0, gait + np.pi)):
        thigh = swing * np.sin(phase)
        shin = thigh - swing * 1.3 * max(0.0, np.cos(phase)) - 0.04
        joints["hip" + side] = np.array([0.0, sign * 0.052 * h * b, 0.52 * h])
        joints["knee" + side] = joints["hip" + side] + 0.245 * h * np.array([np.sin(thigh), 0, -np.cos(thigh)])
        joints["ankle" + side] = joints["knee" + side] + 0.24 * h * np.array([np.sin(shin), 0, -np.cos(shin)])
        arm, bend = -0.75 * swing * np.sin(phase), 0.2 + 0.35 * swing
        if person.trolley is not None:
            arm, bend = 0.55, 0.75
        elif side == "r":
            arm, bend = arm + reach * 1.2, bend + reach * 0.4
        joints["shoulder" + side] = np.array([0.0, sign * 0.112 * h * b, 0.805 * h])
        out = sign * 0.022 * h
        joints["elbow" + side] = joints["shoulder" + side] + np.array(
            [0.17 * h * np.sin(arm), out, -0.17 * h * np.cos(arm)]
        )
        fore = arm + bend
        joints["hand" + side] = joints["elbow" + side] + 0.155 * h * np.array([np.sin(fore), 0, -np.cos(fore)])
    lowest = min(joints["anklel"][2], joints["ankler"][2])
    lift = np.array([0.0, 0.0, 0.045 * h - lowest])
    return {name: place + lift for name, place in joints.items()} | {"lift": lift}


def _limbs(person: Appearance, joints: dict[str, Array]) -> list[Capsule]:
    h, b = person.height, person.build
    shin = person.bottom if person.bottom_kind == "trousers" else person.skin
    thigh = person.skin if person.bottom_kind == "skirt" else person.bottom
    fore = person.top if person.sleeves == "long" else person.skin
    parts = []
    for side in "lr":
        hip, knee, ankle = (joints[part + side] for part in ("hip", "knee", "ankle"))
        shoulder, elbow, hand = (joints[part + side] for part in ("shoulder", "elbow", "hand"))
        toe = ankle + vector(0.075 * h, 0, -0.02 * h)
        parts += [
            Capsule(ankle - vector(0, 0, 0.018 * h), toe, 0.026 * h, 0.02 * h, person.shoes),
            Capsule(knee, ankle, 0.034 * h * b, 0.024 * h, shin),
            Capsule(hip, knee, 0.051 * h * b, 0.036 * h * b, thigh, 0.01),
            Capsule(shoulder, elbow, 0.033 * h * b, 0.027 * h * b, person.top, 0.03),
            Capsule(elbow, hand, 0.026 * h * b, 0.018 * h, fore, 0.03),
            Capsule(hand, hand - vector(0, 0, 0.02 * h), 0.02 * h, 0.016 * h, person.skin, 0.04),
        ]
    if person.carried == "hand bag":
        hand = joints["handl"] - vector(0, 0, 0.04 * h)
        parts.append(
            Capsule(hand - vector(0.07, 0, 0.12), hand - vector(-0.07, 0, 0.12), 0.1, 0.1, person.carried_colour, 0.05)
        )
    if person.carried == "shoulder bag":
        hip, lift = vector(0.02, 0.125 * h * b + 0.05, 0.5 * h), joints["lift"]
        parts.append(Capsule(hip + lift, hip + lift - vector(0, 0, 0.16), 0.1, 0.12, person.carried_colour, 0.06))
        strap = vector(0.085, 0.07 * h, 0.52 * h) + lift, vector(0.075, -0.06 * h, 0.81 * h) + lift
        parts.append(Capsule(*strap, 0.013, 0.013, person.carried_colour, 0.09))
    return parts


def _head(person: Appearance, lift: float) -> list[Capsule]:
    h = person.height
    centre = np.array([0.0, 0.0, 0.925 * h + lift])
    parts = [
        Capsule(
            np.array([0, 0, 0.83 * h + lift]), np.array([0, 0, 0.88 * h + lift]), 0.032 * h, 0.03 * h, person.skin, 0.02
        ),
        Capsule(
            centre + vector(-0.012 * h, 0, 0.018 * h),
            centre - vector(0.014 * h, 0, 0.02 * h),
            0.058 * h,
            0.052 * h,
            person.hair,
            0.05,
        ),
        Capsule(
            centre + vector(0.016 * h, 0, 0),
            centre + vector(0.016 * h, 0, -0.03 * h),
            0.05 * h,
            0.04 * h,
            person.skin,
            0.05,
        ),
    ]
    if person.long_hair:
        parts.append(
            Capsule(
                centre - vector(0.03 * h, 0, 0.02 * h),
                centre - vector(0.045 * h, 0, 0.12 * h),
                0.05 * h,
                0.052 * h,
                person.hair,
                0.06,
            )
        )
    if person.hat is not None:
        top = centre + vector(0, 0, 0.032 * h)
        parts.append(
            Capsule(top - vector(0.012, 0, 0), top + vector(0.012, 0, 0.008), 0.059 * h, 0.058 * h, person.hat, 0.085)
        )
        parts.append(
            Capsule(
                top + vector(0.04 * h, 0, -0.005),
                top + vector(0.075 * h, 0, -0.012),
                0.03 * h,
                0.022 * h,
                person.hat,
                0.085,
            )
        )
    return parts


def _torso(person: Appearance) -> tuple[tuple[Hull, ...], tuple[Patch, ...]]:
    h, b = person.height, person.build
    shape = [
        (0.475, 0.088, 0.062),
        (0.535, 0.092, 0.068),
        (0.6, 0.086, 0.062),
        (0.72, 0.108, 0.07),
        (0.79, 0.115, 0.06),
        (0.845, 0.05, 0.04),
    ]
    profile = np.array(shape) * h * [1, b, b]
    levels = [0.475 * h, *np.linspace(0.535, 0.845, 9) * h]
    rings = np.stack([ring(z, *(float(np.interp(z, profile[:, 0], profile[:, i])) for i in (1, 2))) for z in levels])
    hulls = [Hull(rings, (person.bottom, *_bands(person)))]
    if person.bottom_kind == "skirt":
        skirt = np.stack([ring(0.56 * h, 0.09 * h * b, 0.068 * h * b), ring(0.3 * h, 0.125 * h * b, 0.11 * h * b)])
        hulls.insert(0, Hull(skirt, (person.bottom,), 0.015))
    if person.carried == "backpack":
        sack = [ring(z * h, 0.085 * h, 0.045 * h, -0.1 * h * b) for z in (0.57, 0.68, 0.8)]
        hulls.append(Hull(np.stack(sack), (person.carried_colour, person.carried_colour), 0.0))
    return tuple(hulls), _details(person, rings)


def _bands(person: Appearance) -> list[Colour]:
    """Colours of the eight bands of the top, from the waist up."""
    bands = [person.top] * 8
    if person.jacket:
        return bands
    if person.pattern == "stripes":
        bands[1::2] = [person.second] * 4
    if person.pattern == "band":
        bands[3:5] = [person.second] * 2
    if person.pattern == "halves":
        bands[:4] = [person.second] * 4
    return bands


def _details(person: Appearance, rings: Array) -> tuple[Patch, ...]:
    """What differs between front and back: an open jacket, a logo, straps of a backpack, a print on the back."""
    front = [RING_POINTS - 1, 0, 1]
    patches = []
    if person.jacket:
        strip = np.concatenate([rings[1:-1, front[0]], rings[-2:0:-1, front[2]]])
        patches.append(Patch(strip * [1.02, 0.75, 1.0], person.second, 1))
    elif person.pattern == "logo":
        for side, corners in ((1, front), (-1, [5, 6, 7])):
            mark = np.concatenate([rings[5:8, corners[0]], rings[7:4:-1, corners[2]]])
            patches.append(Patch(mark * [1.02, 0.9, 1.0], person.second, side))
    if person.carried == "backpack":
        for column in (2, RING_POINTS - 2):
            strap = np.concatenate([rings[4:9, column], rings[8:3:-1, column] * [1.0, 0.62, 1.0]])
            patches.append(Patch(strap, person.carried_colour, 1))
    return tuple(patches)
