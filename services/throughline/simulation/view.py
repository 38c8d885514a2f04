"""A camera's pictures of a scene, with the ground truth of what they show."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Box
from throughline.simulation.background import render_background
from throughline.simulation.camera import Camera
from throughline.simulation.painter import Drawing, above, draw_figure, draw_shadow
from throughline.simulation.scene import PERSON, Actor, Scene
from throughline.simulation.sensor import Region, Sensor

Image = NDArray[np.uint8]


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
class _Stamp:
    """An actor as drawn into a frame, before those in front of them are."""

    index: int
    actor: Actor
    region: Region
    whole: Box
    """May reach outside the frame."""
    pixels: int
    """Of the whole body."""


class View:
    """One camera's picture of a scene. Keeps its empty picture and buffers; frames may be asked for in any order."""

    def __init__(self, scene: Scene, camera: Camera) -> None:
        self._scene, self._camera = scene, camera
        background = render_background(scene.layout, camera, scene.light)
        self._empty, self._distance = background.image, background.distance
        self._owners = np.zeros(self._distance.shape, np.uint8)
        stream = np.random.default_rng([scene.seed, 9, sum(camera.name.encode())])
        self._sensor = Sensor(camera, self._empty, stream)

    def render(self, seconds: float) -> tuple[Image, list[Label]]:
        """((h * 3 / 2, w) uint8 planar YUV 4:2:0, labels) `seconds` after the recording's start."""
        frame = self._empty.copy()
        drawn = self._drawings(seconds)
        changed = self._shadows(frame, drawn)
        self._owners[:] = 0
        stamps = [self._stamp(frame, index, *item) for index, item in enumerate(drawn, start=1)]
        changed += [stamp.region for stamp in stamps if stamp is not None]
        labels = [self._label(stamp) for stamp in stamps if stamp is not None]
        return self._sensor.expose(frame, changed, seconds), [label for label in labels if label is not None]

    def _drawings(self, seconds: float) -> list[tuple[float, Actor, Drawing]]:
        """Distance, actor and drawing of all who may be in the frame, the farthest first."""
        drawn = []
        for actor in self._scene.actors(seconds):
            if not self._camera.may_see(actor.place):
                continue
            distance = float(self._camera.ground_distance(actor.place[None])[0])
            brightness = float(self._scene.light.at(float(actor.place[0]), float(actor.place[1])))
            drawing = draw_figure(actor.figure(), self._camera, actor.place, actor.heading, brightness)
            if drawing is not None:
                drawn.append((distance, actor, drawing))
        return sorted(drawn, key=lambda item: -item[0])

    def _shadows(self, frame: Image, drawn: list[tuple[float, Actor, Drawing]]) -> list[Region]:
        """Darken the floor under everyone; where that was."""
        regions = []
        for distance, actor, _ in drawn:
            radius = 0.3 if actor.kind == PERSON else 0.45
            limit = distance - radius - 0.1
            regions.append(draw_shadow(frame, self._camera, actor.place, radius, self._distance, limit))
        return [region for region in regions if region is not None]

    def _stamp(self, frame: Image, index: int, distance: float, actor: Actor, drawing: Drawing) -> _Stamp | None:
        """Draw one actor into the frame; None where all of them is outside it."""
        size = self._camera.size
        whole = Box(*drawing.bounds())
        left, top = int(np.floor(whole.left)) - 1, int(np.floor(whole.top)) - 1
        right, bottom = int(np.ceil(whole.right)) + 2, int(np.ceil(whole.bottom)) + 2
        if right <= 0 or bottom <= 0 or left >= size.width or top >= size.height:
            return None
        if right - left > 3 * size.width or bottom - top > 3 * size.height:
            return None
        rows, columns = slice(max(0, top), min(bottom, size.height)), slice(max(0, left), min(right, size.width))
        free = above(self._distance[rows, columns], distance)
        if not free.any():
            return _Stamp(index, actor, (rows, columns), whole, 1)
        patch = np.zeros((bottom - top, right - left, 4), np.uint8)
        inside = patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        inside[:] = frame[rows, columns]
        drawing.paint(patch, left, top)
        total = cv2.countNonZero(above(patch[..., 3], 127))
        cv2.copyTo(inside, free, frame[rows, columns])
        solid = cv2.bitwise_and(above(inside[..., 3], 127), free)
        frame[rows, columns, 3] = 0
        cv2.copyTo(np.full(solid.shape, index, np.uint8), solid, self._owners[rows, columns])
        return _Stamp(index, actor, (rows, columns), whole, total)

    def _label(self, stamp: _Stamp) -> Label | None:
        """Ground truth of a stamp once all are drawn; None for a sliver."""
        box = stamp.whole.clipped(self._camera.size)
        if stamp.pixels == 0 or box.width < 2 or box.height < 2:
            return None
        visible = int(np.count_nonzero(self._owners[stamp.region] == stamp.index))
        return Label(stamp.actor.name, stamp.actor.kind, box, min(1.0, visible / stamp.pixels))
