"""Shows somebody tiny enlarged in a corner of the picture, never over themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from throughline.domain.geometry import Box, Boxes, Size
from throughline.renderer.draw import line_width
from throughline.renderer.layout import Rectangle, even

_ON, _OFF = 0.2, 0.26
"""The inset comes when a box is lower than this share of the picture's height, and goes when it is higher than the other."""
_HEIGHT, _WIDTH = 0.42, 0.3
"""Of an inset, in parts of the picture's height; at most a third of its width."""
_FILLED = 0.72
"""How much of the inset's height somebody takes."""
_CLEARANCE = 0.03
"""Least distance from the box, in parts of the picture's height."""


@dataclass(frozen=True, slots=True)
class Inset:
    """Where on the picture it lies, and what part of the source frame it shows, in its pixels."""

    place: Rectangle
    source: Box


class InsetPlanner:
    """Decides frame by frame, so that insets neither flicker nor wander: a corner is kept until somebody walks into it."""

    def __init__(self) -> None:
        self._shown = False
        self._corner = 0

    def plan(self, box: Boxes, frame: Size, picture: Size) -> Inset | None:
        """The inset for a box, (4,) in pixels of a frame that is shown as large as `picture`; None where the box is large enough."""
        height = float(box[3] - box[1]) / frame.height
        self._shown = height < (_OFF if self._shown else _ON) and min(picture.width, picture.height) >= 64
        if not self._shown:
            return None
        factors = np.array([picture.width / frame.width, picture.height / frame.height] * 2)
        on_picture = box * factors
        corners = _corners(picture)
        clear = [not _touches(corner, on_picture, _CLEARANCE * picture.height) for corner in corners]
        if not clear[self._corner]:
            self._corner = max(range(4), key=lambda index: (clear[index], _distance(corners[index], on_picture)))
        place = corners[self._corner]
        return Inset(place, _around(box, place, frame, picture)) if clear[self._corner] else None


def _corners(picture: Size) -> tuple[Rectangle, ...]:
    """Top right first: captions and most people are below."""
    width = even(round(min(_WIDTH * picture.height, picture.width / 3)))
    height = even(round(_HEIGHT * picture.height))
    margin = 2 * line_width(picture) // 2 * 2
    lefts = (picture.width - width - margin) // 2 * 2, margin
    tops = margin, (picture.height - height - margin) // 2 * 2
    return tuple(Rectangle(left, top, width, height) for top in tops for left in lefts)


def _around(box: Boxes, place: Rectangle, frame: Size, picture: Size) -> Box:
    """What is shown: the box in the middle as far as the frame's edges allow, undeformed."""
    pixel = (frame.height / picture.height, frame.width / picture.width)
    height = max(8.0, float(box[3] - box[1]) / _FILLED, float(box[2] - box[0]) / _FILLED * place.height / place.width)
    height = min(height, place.height * pixel[0])
    width = height / pixel[0] * place.width / place.height * pixel[1]
    left = min(max(float(box[0] + box[2] - width) / 2, 0.0), max(0.0, frame.width - width))
    top = min(max(float(box[1] + box[3] - height) / 2, 0.0), max(0.0, frame.height - height))
    return Box(left, top, min(left + width, frame.width), min(top + height, frame.height))


def _touches(place: Rectangle, box: Boxes, clearance: float) -> bool:
    return bool(
        box[0] < place.right + clearance
        and box[2] > place.left - clearance
        and box[1] < place.bottom + clearance
        and box[3] > place.top - clearance
    )


def _distance(place: Rectangle, box: Boxes) -> float:
    middle = (box[:2] + box[2:]) / 2
    return float(np.hypot(middle[0] - (place.left + place.right) / 2, middle[1] - (place.top + place.bottom) / 2))
