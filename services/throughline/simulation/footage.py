"""Films one camera of a scene: chunks named by the camera's own time, and the ground truth of every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.time import MEDIA_RATE, NS_PER_MS, NS_PER_SECOND, Instant, ticks_to_ns
from throughline.media.chunk import write_chunk
from throughline.media.encode import TICK, EncoderSettings
from throughline.simulation.camera import Camera
from throughline.simulation.scene import Scene, make_scene
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.truth import TrueCamera, TruthTable
from throughline.simulation.view import Label, View

CHUNK_NAME = "%Y-%m-%d_%H-%M-%S"
"""Pattern of a chunk's name, with `.` and three decimals of the second, `Z.mp4` after it. The time is UTC by the camera's own clock."""
_LAG_MS = 200
"""Cameras begin to record up to so long after the recording's start."""


@dataclass(frozen=True, slots=True)
class Shoot:
    """What one process needs to film one camera; everything else follows from the settings."""

    settings: SimulationSettings
    number: int
    folder: Path


def film(shoot: Shoot) -> tuple[TrueCamera, TruthTable]:
    """Write the chunks of one camera into `folder/<camera>/`."""
    cv2.setNumThreads(1)
    settings = shoot.settings
    scene = scene_of(settings)
    camera = scene.cameras[shoot.number]
    folder = shoot.folder / camera.name
    folder.mkdir(parents=True, exist_ok=True)
    reel = _Reel(settings, scene, camera)
    per_chunk = settings.chunk_seconds * settings.rate
    chunks = []
    for first in range(0, reel.frames, per_chunk):
        name = chunk_name(reel.camera_time(first))
        write_chunk(
            folder / name,
            reel.pictures(range(first, min(first + per_chunk, reel.frames))),
            settings.size,
            MEDIA_RATE // settings.rate,
            EncoderSettings(preset="ultrafast", crf=settings.quality, threads=1),
        )
        chunks.append(name)
    described = TrueCamera(
        name=camera.name,
        clock_offset_ns=camera.clock.offset_ns,
        first_frame=reel.camera_time(0),
        frames=reel.frames,
        chunks=tuple(chunks),
    )
    return described, reel.truth()


def scene_of(settings: SimulationSettings) -> Scene:
    """The scene that the settings describe."""
    return make_scene(settings.seed, settings.cameras, settings.people, settings.seconds, settings.size)


def chunk_name(time: Instant) -> str:
    """File name of the chunk whose first frame the camera's clock put at `time`, a whole millisecond."""
    return f"{time.to_datetime():{CHUNK_NAME}}.{time.ns // NS_PER_MS % 1000:03d}Z.mp4"


class _Reel:
    """The frames of one camera, in order, and what they show."""

    def __init__(self, settings: SimulationSettings, scene: Scene, camera: Camera) -> None:
        self._settings, self._camera = settings, camera
        self._view = View(scene, camera)
        self.frames = max(1, round(settings.seconds * settings.rate))
        lag = np.random.default_rng([settings.seed, 5, sum(camera.name.encode())]).integers(_LAG_MS)
        start = settings.start.ns // NS_PER_MS * NS_PER_MS + int(lag) * NS_PER_MS
        self._first = camera.clock.to_camera(Instant(start))
        self._rows: list[tuple[int, Label]] = []

    def camera_time(self, frame: int) -> Instant:
        """When the camera's clock says that a frame was taken."""
        return self._first + ticks_to_ns(frame * (MEDIA_RATE // self._settings.rate), TICK)

    def pictures(self, frames: range) -> Iterator[NDArray[np.uint8]]:
        """Render frames and keep their labels."""
        for frame in frames:
            utc = self._camera.clock.to_utc(self.camera_time(frame))
            planes, labels = self._view.render((utc - self._settings.start) / NS_PER_SECOND)
            self._rows += [(frame, label) for label in labels]
            yield planes

    def truth(self) -> TruthTable:
        """Labels of all frames rendered so far."""
        labels = [label for _, label in self._rows]
        times = np.array([self.camera_time(frame).ns for frame, _ in self._rows], np.int64)
        corners = [(label.box.left, label.box.top, label.box.right, label.box.bottom) for label in labels]
        return TruthTable(
            np.full(len(labels), self._camera.name),
            times,
            times + self._camera.clock.offset_ns,
            np.array([label.name for label in labels], np.str_),
            np.array([label.kind for label in labels], np.str_),
            np.array(corners, np.float32).reshape(-1, 4),
            np.array([label.visibility for label in labels], np.float32),
        )
