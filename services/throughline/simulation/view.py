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

Image = NDArray[np.uint8]

_NOISE_TILES = 7


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
    region: tuple[slice, slice]
    """Rows and columns of the frame."""
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
            if not self._camera.may_see(actor.place):
                continue
            distance = float(self._camera.ground_distance(actor.place[None])[0])
            brightness = float(self._scene.light.at(float(actor.place[0]), float(actor.place[1])))
            drawing = draw_figure(actor.figure(), self._camera, actor.place, actor.heading, brightness)
            if drawing is not None:
                drawn.append((distance, actor, drawing))
        drawn.sort(key=lambda item: -item[0])
        self._owners[:] = 0
        for distance, actor, _ in drawn:
            radius = 0.3 if actor.kind == PERSON else 0.45
            draw_shadow(frame, self._camera, actor.place, radius, self._distance, distance - radius - 0.1)
        stamps = [self._stamp(frame, index, *item) for index, item in enumerate(drawn, start=1)]
        labels = [self._label(stamp) for stamp in stamps if stamp is not None]
        return [label for label in labels if label is not None]

    def _stamp(self, frame: Image, index: int, distance: float, actor: Actor, drawing: Drawing) -> _Stamp | None:
        """Draw one actor into the frame; None where all of them is outside it."""
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
        total = cv2.countNonZero(above(patch[..., 3], 127))
        free = above(self._distance[rows, columns], distance)
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
