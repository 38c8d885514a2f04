"""The store with its people in it: who stands where at a moment, and each camera's picture of that with ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Box, Size
from throughline.simulation.background import Light, render_background
from throughline.simulation.body import Figure, make_figure
from throughline.simulation.camera import Camera, make_cameras
from throughline.simulation.layout import Layout, make_layout
from throughline.simulation.motion import Walk, make_walks
from throughline.simulation.painter import Drawing, draw_figure, draw_shadow
from throughline.simulation.people import Appearance, make_people
from throughline.simulation.trolley import AHEAD, make_trolley

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

PERSON, TROLLEY = "person", "trolley"
_NOISE_TILES = 7


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """Something that moves, at one moment."""

    name: str
    kind: str
    place: Array
    """(2,) metres."""
    heading: float
    figure: Figure


@dataclass(frozen=True, slots=True)
class Label:
    """Ground truth of one actor in one frame."""

    name: str
    kind: str
    box: Box
    """The whole body, behind furniture and other people too, clipped to the frame."""
    visibility: float
    """Visible part of the body's pixels, those outside the frame counted as hidden; 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A store and everyone who comes into it during the recording."""

    seed: int
    layout: Layout
    cameras: tuple[Camera, ...]
    people: dict[str, Appearance]
    walks: dict[str, tuple[Walk, ...]]
    light: Light

    def actors(self, seconds: float) -> list[Actor]:
        """Who is in the store at a moment, `seconds` after the recording's start."""
        present: list[Actor] = []
        for number, (name, person) in enumerate(self.people.items()):
            for walk in self.walks[name]:
                state = walk.at(seconds)
                if state is None:
                    continue
                place, heading, speed, gait = state
                reach = max(0.0, np.sin(0.9 * seconds + number)) * max(0.0, 1.0 - speed / 0.4)
                present.append(Actor(name, PERSON, place, heading, make_figure(person, speed, gait, reach)))
                if person.trolley is not None:
                    ahead = place + AHEAD * np.array([np.cos(heading), np.sin(heading)])
                    present.append(Actor(f"{name}-trolley", TROLLEY, ahead, heading, make_trolley(person.trolley)))
        return present


def make_scene(seed: int, cameras: int, people: int, seconds: float, size: Size) -> Scene:
    """Draw a store from a seed. Layout, cameras, people and ways come from separate streams."""
    streams = [np.random.default_rng([seed, part]) for part in range(4)]
    layout = make_layout(streams[0])
    looks = make_people(people, streams[2])
    named = {f"p{number:02d}": person for number, person in enumerate(looks, start=1)}
    walks = {name: make_walks(layout, seconds, 2 if streams[3].random() < 0.6 else 1, streams[3]) for name in named}
    return Scene(seed, layout, make_cameras(layout, cameras, size, streams[1]), named, walks, Light(layout.style))


class View:
    """One camera's picture of a scene. Keeps its empty picture and buffers; frames may be asked for in any order."""

    def __init__(self, scene: Scene, camera: Camera) -> None:
        self._scene, self._camera = scene, camera
        background = render_background(scene.layout, camera, scene.light)
        self._empty, self._distance = background.image, background.distance
        self._owners = np.zeros(self._distance.shape, np.uint8)
        stream = np.random.default_rng([scene.seed, 9, sum(camera.name.encode())])
        shape = (camera.size.height * 3 // 2, camera.size.width)
        noise = stream.normal(16.0, camera.look.noise, (_NOISE_TILES, *shape))
        noise[:, camera.size.height :] = 16.0 + (noise[:, camera.size.height :] - 16.0) * 0.4
        self._noise = np.clip(np.rint(noise), 0, 32).astype(np.uint8)
        self._flicker = stream.uniform([0.004, 0.005, 0.3], [0.02, 0.03, 6.0])

    def render(self, seconds: float) -> tuple[Image, list[Label]]:
        """((h * 3 / 2, w) uint8 planar YUV 4:2:0, labels) `seconds` after the recording's start."""
        frame = self._empty.copy()
        labels = self._people(frame, seconds)
        return self._sensor(frame, seconds), labels

    def _people(self, frame: Image, seconds: float) -> list[Label]:
        drawn = []
        for actor in self._scene.actors(seconds):
            distance = float(self._camera.ground_distance(actor.place[None])[0])
            brightness = float(self._scene.light.at(float(actor.place[0]), float(actor.place[1])))
            drawing = draw_figure(actor.figure, self._camera, actor.place, actor.heading, brightness)
            if drawing is not None:
                drawn.append((distance, actor, drawing))
        drawn.sort(key=lambda item: -item[0])
        self._owners[:] = 0
        for distance, actor, _ in drawn:
            radius = 0.3 if actor.kind == PERSON else 0.45
            draw_shadow(
                frame, self._camera, actor.place, radius, lambda r, c, d=distance: self._unhidden(r, c, d - 0.6)
            )
        stamps = [self._stamp(frame, index, *item) for index, item in enumerate(drawn, start=1)]
        return [label for stamp in stamps if stamp is not None and (label := self._label(*stamp)) is not None]

    def _unhidden(self, rows: slice, columns: slice, distance: float) -> Image:
        """255 where the store leaves free the sight of what stands `distance` metres away."""
        return cv2.compare(self._distance[rows, columns], distance, cv2.CMP_GT)

    def _stamp(
        self, frame: Image, index: int, distance: float, actor: Actor, drawing: Drawing
    ) -> tuple[int, Actor, tuple[slice, slice], Box, int] | None:
        """Draw one actor into the frame; what is needed to label it once all are drawn."""
        size = self._camera.size
        whole = Box(*drawing.bounds())
        left, top = int(np.floor(whole.left)) - 1, int(np.floor(whole.top)) - 1
        right, bottom = int(np.ceil(whole.right)) + 2, int(np.ceil(whole.bottom)) + 2
        if right <= 0 or bottom <= 0 or left >= size.width or top >= size.height or right - left > 3 * size.width:
            return None
        patch = np.zeros((bottom - top, right - left, 4), np.uint8)
        rows, columns = slice(max(0, top), min(bottom, size.height)), slice(max(0, left), min(right, size.width))
        inside = patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        inside[:] = frame[rows, columns]
        drawing.paint(patch, left, top)
        total = cv2.countNonZero(cv2.compare(patch[..., 3], 127, cv2.CMP_GT))
        free = self._unhidden(rows, columns, distance)
        cv2.copyTo(inside, free, frame[rows, columns])
        solid = cv2.bitwise_and(cv2.compare(inside[..., 3], 127, cv2.CMP_GT), free)
        frame[rows, columns, 3] = 0
        cv2.copyTo(np.full(solid.shape, index, np.uint8), solid, self._owners[rows, columns])
        return index, actor, (rows, columns), whole, total

    def _label(self, index: int, actor: Actor, region: tuple[slice, slice], whole: Box, total: int) -> Label | None:
        box = whole.clipped(self._camera.size)
        if total == 0 or box.width < 2 or box.height < 2:
            return None
        visible = cv2.countNonZero(cv2.compare(self._owners[region], index, cv2.CMP_EQ))
        return Label(actor.name, actor.kind, box, min(1.0, visible / total))

    def _sensor(self, frame: Image, seconds: float) -> Image:
        """Blur, flicker and noise, as planar YUV."""
        planes = cv2.cvtColor(frame, cv2.COLOR_BGRA2YUV_I420)
        luma = planes[: self._camera.size.height]
        if self._camera.look.blur:
            cv2.GaussianBlur(luma, (3, 3), 0.7, dst=luma)
        fast, slow, rate = self._flicker
        gain = 1.0 + fast * np.sin(seconds * 37.0) + slow * np.sin(seconds * rate)
        table = np.clip(np.rint(np.arange(256) * gain), 0, 255).astype(np.uint8)
        cv2.LUT(luma, table, dst=luma)
        shifted = cv2.add(planes, self._noise[round(seconds * 1000) % _NOISE_TILES])
        return np.asarray(cv2.subtract(shifted, np.full((1, 1), 16.0)), np.uint8)
