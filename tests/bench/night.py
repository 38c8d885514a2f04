"""A simulated night: 1080p15 of one camera, nobody there but for a few short visits. Noise and flicker never stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.domain.time import MEDIA_RATE
from throughline.media.chunk import write_chunk
from throughline.media.encode import EncoderSettings
from throughline.simulation.footage import chunk_name, scene_of
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.view import View

RATE = 15
CHUNK_SECONDS = 60
_STORE = SimulationSettings(seed=7, cameras=1, people=10, seconds=60, width=1920, height=1080, rate=RATE, workers=1)
_EMPTY = 10_000.0
"""A second of the store's time at which everyone has left."""
_ENCODER = EncoderSettings(preset="ultrafast", crf=25, threads=0)


def film_night(folder: Path, seconds: int, visits: Sequence[tuple[float, float, float]]) -> None:
    """Write the chunks of `cam1` into `folder`. A visit: when it begins, how long it lasts, and the second of a busy store that it
    shows; whoever is in view then is there at once and gone at once, which no camera's footage is kinder than."""
    scene = scene_of(_STORE)
    view = View(scene, scene.cameras[0])
    place = folder / scene.cameras[0].name
    place.mkdir(parents=True)
    for start in range(0, seconds, CHUNK_SECONDS):
        frames = _pictures(view, range(start * RATE, min(start + CHUNK_SECONDS, seconds) * RATE), visits)
        path = place / chunk_name(_STORE.start + start * 1_000_000_000)
        write_chunk(path, frames, _STORE.size, MEDIA_RATE // RATE, _ENCODER)


def _pictures(view: View, frames: range, visits: Sequence[tuple[float, float, float]]) -> Iterator[NDArray[np.uint8]]:
    for frame in frames:
        second = frame / RATE
        shown = next(
            (scene + second - start for start, length, scene in visits if start <= second < start + length),
            _EMPTY + second,
        )
        yield view.render(shown)[0]
