"""What people look like: build, skin, hair, clothes and things they carry. Colours are BGR in 0..1."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

Colour = tuple[float, float, float]

PATTERNS = ("plain", "plain", "stripes", "logo", "band", "halves")
BOTTOMS = ("trousers", "trousers", "trousers", "shorts", "skirt")
CARRIED = ("nothing", "nothing", "backpack", "backpack", "shoulder bag", "hand bag")


@dataclass(frozen=True, slots=True)
class Appearance:
    """One person, as they look all day."""

    height: float
    """Metres."""
    build: float
    """Breadth relative to the average, 0.85 to 1.2."""
    skin: Colour
    hair: Colour
    long_hair: bool
    hat: Colour | None
    top: Colour
    second: Colour
    """Colour of the top's pattern, and of the shirt below an open jacket."""
    pattern: str
    sleeves: str
    """long or short"""
    jacket: bool
    """Worn open: the second colour shows in front only."""
    bottom: Colour
    bottom_kind: str
    shoes: Colour
    carried: str
    carried_colour: Colour
    trolley: Colour | None
    """Colour of the trolley that the person pushes."""


def make_people(count: int, rng: np.random.Generator) -> tuple[Appearance, ...]:
    """Draw `count` people; about a third wear nearly what somebody before them wears."""
    people: list[Appearance] = []
    for index in range(count):
        fresh = _draw(rng)
        if index >= 2 and rng.random() < 0.34:
            model = people[int(rng.integers(index))]
            fresh = _alike(fresh, model, rng)
        people.append(replace(fresh, trolley=_vivid(rng) if rng.random() < 0.25 else None))
    return tuple(people)


def _alike(fresh: Appearance, model: Appearance, rng: np.random.Generator) -> Appearance:
    """`fresh` in the model's top or bottom, so that colour of one garment alone does not tell them apart."""
    if rng.random() < 0.5:
        return replace(fresh, top=_near(model.top, rng), sleeves=model.sleeves)
    return replace(fresh, bottom=_near(model.bottom, rng), bottom_kind=model.bottom_kind, shoes=model.shoes)


def _draw(rng: np.random.Generator) -> Appearance:
    skin_tone = float(rng.uniform(0.0, 1.0))
    light, dark = np.array([0.66, 0.76, 0.93]), np.array([0.16, 0.24, 0.38])
    return Appearance(
        height=float(np.clip(rng.normal(1.72, 0.085), 1.52, 1.93)),
        build=float(rng.uniform(0.86, 1.2)),
        skin=_colour(light + (dark - light) * skin_tone**1.5),
        hair=_hair(rng),
        long_hair=bool(rng.random() < 0.4),
        hat=_garment(rng) if rng.random() < 0.18 else None,
        top=_garment(rng),
        second=_garment(rng),
        pattern=str(rng.choice(PATTERNS)),
        sleeves="long" if rng.random() < 0.6 else "short",
        jacket=bool(rng.random() < 0.3),
        bottom=_trousers(rng),
        bottom_kind=str(rng.choice(BOTTOMS)),
        shoes=_garment(rng),
        carried=str(rng.choice(CARRIED)),
        carried_colour=_garment(rng),
        trolley=None,
    )


def _colour(values: np.ndarray) -> Colour:
    blue, green, red = (float(np.clip(v, 0.02, 0.97)) for v in values)
    return blue, green, red


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return blue, green, red


def _vivid(rng: np.random.Generator) -> Colour:
    return _hsv(float(rng.random()), float(rng.uniform(0.55, 0.95)), float(rng.uniform(0.45, 0.9)))


def _garment(rng: np.random.Generator) -> Colour:
    if rng.random() < 0.35:
        grey = float(rng.choice([0.08, 0.16, 0.35, 0.6, 0.88]))
        return _near((grey, grey, grey), rng)
    return _hsv(float(rng.random()), float(rng.uniform(0.3, 0.95)), float(rng.uniform(0.2, 0.95)))


def _trousers(rng: np.random.Generator) -> Colour:
    kind = rng.random()
    if kind < 0.35:
        return _hsv(float(rng.uniform(0.57, 0.66)), float(rng.uniform(0.35, 0.8)), float(rng.uniform(0.2, 0.65)))
    if kind < 0.6:
        grey = float(rng.uniform(0.06, 0.5))
        return _near((grey, grey, grey), rng)
    if kind < 0.8:
        return _hsv(float(rng.uniform(0.07, 0.13)), float(rng.uniform(0.2, 0.55)), float(rng.uniform(0.35, 0.8)))
    return _garment(rng)


def _hair(rng: np.random.Generator) -> Colour:
    kinds = np.array(
        [
            [0.05, 0.05, 0.06],
            [0.08, 0.13, 0.2],
            [0.15, 0.27, 0.4],
            [0.4, 0.62, 0.78],
            [0.66, 0.67, 0.68],
            [0.1, 0.22, 0.5],
        ]
    )
    return _near(_colour(kinds[int(rng.integers(len(kinds)))]), rng)


def _near(colour: Colour, rng: np.random.Generator) -> Colour:
    return _colour(np.array(colour) + rng.normal(0.0, 0.025, 3))
