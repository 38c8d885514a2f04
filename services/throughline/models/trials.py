"""Tries other ways to give pictures to a detector on labelled frames: a wrong setting shows as one that another beats."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput
from throughline.domain.geometry import Letterbox, Size
from throughline.models.detector import DetectorSettings
from throughline.models.graph import Normalisation
from throughline.models.labelled import LabelledFrame, average_precision
from throughline.models.reference import reference_detections
from throughline.models.verify import raw_outputs
from throughline.models.weights import Weights
from throughline.perception.embed import fitted
from throughline.perception.letterbox import GREY
from throughline.perception.triton.card import ModelCard

CLEARLY_BETTER = 0.02
"""In AP; what two settings differ by on few frames says nothing."""

_CALIBRATION_PICTURES = 200


@dataclass(frozen=True, slots=True)
class Placing:
    """How a frame is put onto the canvas: in its middle or its left top corner, and with what around it."""

    centred: bool = True
    pad: int = GREY


@dataclass(frozen=True, slots=True)
class Trial:
    """A way to give pictures, in words, and the AP of people that it reached."""

    name: str
    average_precision: float


def try_settings(
    weights: Weights, settings: DetectorSettings, frames: Sequence[LabelledFrame], person: int
) -> list[Trial]:
    """The settings as they are first, then each with one thing changed. `person`: position in the settings' classes."""
    own, placing = settings.normalisation, Placing()
    ways = [("as set", own, placing)]
    ways += [(name, other, placing) for name, other in _other_normalisations(own)]
    ways += [
        ("frames in the left top corner", own, Placing(centred=False)),
        ("black around frames", own, Placing(pad=0)),
    ]
    return [
        Trial(
            name, _measured(weights, dataclasses.replace(settings, normalisation=normalisation), frames, person, where)
        )
        for name, normalisation, where in ways
    ]


def better(trials: Sequence[Trial]) -> Trial | None:
    """The best of the trials where it clearly beats the first, which is the settings as they are."""
    best = max(trials, key=lambda trial: trial.average_precision)
    return best if best.average_precision > trials[0].average_precision + CLEARLY_BETTER else None


def placed(picture: NDArray[np.uint8], canvas: Size, placing: Placing) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The picture on a canvas, and what takes (n, 4) boxes from there back: (2, 4) of offsets and scales."""
    letterbox = Letterbox(Size(picture.shape[1], picture.shape[0]), canvas)
    scaled = letterbox.scaled
    left, top = letterbox.offset if placing.centred else (0, 0)
    whole = np.full((canvas.height, canvas.width, 3), placing.pad, np.uint8)
    whole[top : top + scaled.height, left : left + scaled.width] = cv2.resize(
        picture, (scaled.width, scaled.height), interpolation=cv2.INTER_LINEAR
    )
    scales = np.array([scaled.width / picture.shape[1], scaled.height / picture.shape[0]] * 2)
    return whole, np.stack([np.array([left, top] * 2), scales]).astype(np.float32)


def calibration_pictures(folder: Path, card: ModelCard) -> NDArray[np.uint8]:
    """The pictures of a folder as the model is given them, (n, height, width, 3) uint8 RGB, at most 200.

    Raises InvalidInput where there are none.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in {".jpg", ".jpeg", ".png"}]
    if not paths:
        raise InvalidInput(
            f"no pictures below {folder}; expected .jpg or .png, of frames for a detector, of crops for ReID"
        )
    size, nobody = Size(card.input_width, card.input_height), np.zeros((0, 4), np.float32)
    step = max(1, -(-len(paths) // _CALIBRATION_PICTURES))
    pictures = (LabelledFrame(path, nobody, nobody).picture() for path in paths[::step])
    if card.kind == "reid":
        return np.stack([fitted(picture, size) for picture in pictures])
    return np.stack([placed(picture, size, Placing())[0] for picture in pictures])


def _measured(
    weights: Weights, settings: DetectorSettings, frames: Sequence[LabelledFrame], person: int, placing: Placing
) -> float:
    canvas = Size(weights.width, weights.height)
    pictures, backs = zip(*(placed(frame.picture(), canvas, placing) for frame in frames), strict=True)
    found = []
    for raw, (offset, scale) in zip(
        raw_outputs(weights, settings.normalisation, np.stack(pictures)), backs, strict=True
    ):
        boxes, scores, classes = reference_detections(raw, weights, settings)
        people = classes == person
        found.append(((boxes[people] - offset) / scale, scores[people]))
    return average_precision(found, frames)


def _other_normalisations(own: Normalisation) -> list[tuple[str, Normalisation]]:
    swapped = "rgb" if own.colours == "bgr" else "bgr"
    unit = Normalisation(own.colours, deviation=(255.0, 255.0, 255.0))
    mean, deviation = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    if own.colours == "bgr":
        mean, deviation = mean[::-1], deviation[::-1]
    scales = [
        ("values 0 to 255", Normalisation(own.colours)),
        ("values 0 to 1", unit),
        ("ImageNet's mean and deviation", Normalisation(own.colours, mean, deviation)),
    ]
    flipped = Normalisation(swapped, own.mean[::-1], own.deviation[::-1])
    return [(f"colours {swapped}", flipped), *((name, each) for name, each in scales if each != own)]
