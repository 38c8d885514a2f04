"""Labelled frames and crops straight from the simulator, without video encoding, for training and for quick checks."""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Letterbox, Size
from throughline.simulation.scene import PERSON, Scene, make_scene
from throughline.simulation.view import Label, View

Image = NDArray[np.uint8]

FRAME = Size(1280, 720)
CANVAS = Size(416, 256)
"""Input of the detector."""
CROP = Size(64, 128)
"""Input of the ReID model."""
FIRST_TRAINING_SEED = 1000
"""Seeds from here on are for training; those below are for evaluation and demonstration."""

_SECONDS = 120.0
_PEOPLE = 12
_CROP_MIN_HEIGHT_PX = 40
_CROP_MIN_VISIBILITY = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What one store gives. Images are RGB."""

    frames: Image
    """(n, CANVAS.height, CANVAS.width, 3) letterboxed."""
    boxes: NDArray[np.float32]
    """(m, 7): frame, left, top, right, bottom on the canvas, class (0 person, 1 trolley), visibility."""
    crops: Image
    """(k, CROP.height, CROP.width, 3)."""
    identities: NDArray[np.int64]
    """(k, 3): identity (unique over seeds), camera, frame time in milliseconds."""

    def save(self, path: Path) -> None:
        """Write all arrays into one .npz file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, frames=self.frames, boxes=self.boxes, crops=self.crops, identities=self.identities)


def draw_samples(seed: int, cameras: int = 6, frames: int = 24, span: float | None = None) -> Samples:
    """Render `frames` pictures at random moments from each of `cameras` views of one store.

    With `span` the moments of a camera are evenly spaced over that many seconds from a random start instead.
    """
    scene = make_scene(seed, cameras, _PEOPLE, _SECONDS, FRAME)
    rng = np.random.default_rng([seed, 77])
    letterbox = Letterbox(FRAME, CANVAS)
    pictures: list[Image] = []
    boxes: list[NDArray[np.float32]] = []
    crops: list[Image] = []
    identities: list[tuple[int, int, int]] = []
    for number, camera in enumerate(scene.cameras):
        view = View(scene, camera)
        for seconds in _moments(rng, frames, span):
            planes, labels = view.render(float(seconds))
            picture = _compressed(np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420), np.uint8), rng)
            boxes.append(_canvas_boxes(labels, letterbox, len(pictures)))
            pictures.append(_canvas(picture, letterbox, rng))
            for label in labels:
                if _worth_cropping(label):
                    crops.append(_crop(picture, label, rng))
                    identities.append((_identity(scene, label), number, round(1000 * seconds)))
    return Samples(
        np.stack(pictures),
        np.concatenate(boxes),
        np.stack(crops) if crops else np.zeros((0, CROP.height, CROP.width, 3), np.uint8),
        np.array(identities, np.int64).reshape(-1, 3),
    )


def _moments(rng: np.random.Generator, frames: int, span: float | None) -> NDArray[np.float64]:
    if span is None:
        return np.sort(rng.uniform(0.0, _SECONDS, frames))
    return rng.uniform(0.0, _SECONDS - span) + np.linspace(0.0, span, frames)


def _identity(scene: Scene, label: Label) -> int:
    return scene.seed * 100 + list(scene.people).index(label.name)


def _worth_cropping(label: Label) -> bool:
    return label.kind == PERSON and label.visibility >= _CROP_MIN_VISIBILITY and label.box.height >= _CROP_MIN_HEIGHT_PX


def _compressed(picture: Image, rng: np.random.Generator) -> Image:
    """The picture after lossy compression of random strength."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 92))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _canvas(picture: Image, letterbox: Letterbox, rng: np.random.Generator) -> Image:
    canvas = np.full((CANVAS.height, CANVAS.width, 3), 114, np.uint8)
    left, top = letterbox.offset
    scaled = letterbox.scaled
    canvas[top : top + scaled.height, left : left + scaled.width] = cv2.resize(
        picture, (scaled.width, scaled.height), interpolation=_interpolation(rng)
    )
    return canvas


def _interpolation(rng: np.random.Generator) -> int:
    return cv2.INTER_AREA if rng.random() < 0.5 else cv2.INTER_LINEAR


def _canvas_boxes(labels: list[Label], letterbox: Letterbox, frame: int) -> NDArray[np.float32]:
    rows = np.zeros((len(labels), 7), np.float32)
    rows[:, 0] = frame
    corners = [(label.box.left, label.box.top, label.box.right, label.box.bottom) for label in labels]
    rows[:, 1:5] = letterbox.to_canvas(np.array(corners, np.float32).reshape(-1, 4))
    rows[:, 5] = [float(label.kind != PERSON) for label in labels]
    rows[:, 6] = [label.visibility for label in labels]
    return rows


def _crop(picture: Image, label: Label, rng: np.random.Generator) -> Image:
    """The person as a tracker would cut them out: each edge a little off."""
    box = label.box
    spread = np.array([box.width, box.height, box.width, box.height]) * 0.055
    edges = np.array([box.left, box.top, box.right, box.bottom]) + np.clip(rng.normal(0, 1, 4), -2, 2) * spread
    left, top = np.clip(np.rint(edges[:2]).astype(int), 0, [FRAME.width - 4, FRAME.height - 4])
    right, bottom = np.clip(np.rint(edges[2:]).astype(int), [left + 4, top + 4], [FRAME.width, FRAME.height])
    cut = picture[top:bottom, left:right]
    return np.asarray(cv2.resize(cut, (CROP.width, CROP.height), interpolation=_interpolation(rng)), np.uint8)


def _write(task: tuple[int, Path, int, int]) -> int:
    seed, folder, cameras, frames = task
    cv2.setNumThreads(1)
    path = folder / f"{seed}.npz"
    if not path.exists():
        draw_samples(seed, cameras, frames).save(path)
    return seed


def main() -> None:
    """Render the samples of many seeds into a folder; those that are there already are kept."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first-seed", type=int, default=FIRST_TRAINING_SEED)
    parser.add_argument("--seeds", type=int, default=48)
    parser.add_argument("--cameras", type=int, default=6)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    with ProcessPoolExecutor(options.workers) as pool:
        for seed in pool.map(_write, [(seed, options.out, options.cameras, options.frames) for seed in seeds]):
            print(f"seed {seed} done", flush=True)


if __name__ == "__main__":
    main()
