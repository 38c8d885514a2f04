"""The store and its people: who stands where at a moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Size
from throughline.simulation.background import Light
from throughline.simulation.body import Body, Figure
from throughline.simulation.camera import Camera, make_cameras
from throughline.simulation.layout import Layout, make_layout
from throughline.simulation.motion import Walk, make_walks
from throughline.simulation.people import Appearance, make_people
from throughline.simulation.trolley import AHEAD, make_trolley

Array = NDArray[np.float64]

PERSON, TROLLEY = "person", "trolley"


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """Something that moves, at one moment."""

    name: str
    kind: str
    place: Array
    """(2,) metres."""
    heading: float
    figure: Callable[[], Figure]
    """Poses them: work that is wasted on those whom nobody sees."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A store and everyone who comes into it during the recording."""

    seed: int
    layout: Layout
    cameras: tuple[Camera, ...]
    people: dict[str, Appearance]
    walks: dict[str, tuple[Walk, ...]]
    light: Light
    bodies: dict[str, Body]
    trolleys: dict[str, Figure]

    def actors(self, seconds: float) -> list[Actor]:
        """Who is in the store at a moment, `seconds` after the recording's start."""
        present: list[Actor] = []
        for number, name in enumerate(self.people):
            for walk in self.walks[name]:
                state = walk.at(seconds)
                if state is None:
                    continue
                place, heading, speed, gait = state
                reach = max(0.0, np.sin(0.9 * seconds + number)) * max(0.0, 1.0 - speed / 0.4)
                present.append(Actor(name, PERSON, place, heading, partial(self.bodies[name].pose, speed, gait, reach)))
                if name in self.trolleys:
                    ahead = place + AHEAD * np.array([np.cos(heading), np.sin(heading)])
                    present.append(
                        Actor(f"{name}-trolley", TROLLEY, ahead, heading, partial(self.trolleys.__getitem__, name))
                    )
        return present


def make_scene(seed: int, cameras: int, people: int, seconds: float, size: Size) -> Scene:
    """Draw a store from a seed. Layout, cameras, people and ways come from separate streams."""
    streams = [np.random.default_rng([seed, part]) for part in range(4)]
    layout = make_layout(streams[0])
    looks = make_people(people, streams[2])
    named = {f"p{number:02d}": person for number, person in enumerate(looks, start=1)}
    walks = dict(zip(named, make_walks(layout, seconds, people, streams[3]), strict=True))
    return Scene(
        seed,
        layout,
        make_cameras(layout, cameras, size, streams[1]),
        named,
        walks,
        Light(layout.style),
        {name: Body(person) for name, person in named.items()},
        {name: make_trolley(person.trolley) for name, person in named.items() if person.trolley is not None},
    )
