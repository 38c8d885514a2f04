"""Boxes and the letterbox.

Coordinates are pixels of the upright source frame, xyxy, left and top inclusive, right and bottom exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
"""(n, 4) float32, xyxy."""


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Box:
    """Where something stands in a frame, in pixels of the upright source frame."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        return max(0.0, self.width) * max(0.0, self.height)

    def clipped(self, size: Size) -> Box:
        """The part inside a frame of `size`; may be empty."""
        return Box(
            min(max(self.left, 0.0), size.width),
            min(max(self.top, 0.0), size.height),
            min(max(self.right, 0.0), size.width),
            min(max(self.bottom, 0.0), size.height),
        )


def area(boxes: Boxes) -> NDArray[np.float32]:
    """(n,) areas of (n, 4) boxes; empty boxes count 0."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def intersection(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Areas of intersection; `a` and `b` broadcast against each other in all but the last axis."""
    corner = np.maximum(a[..., :2], b[..., :2])
    opposite = np.minimum(a[..., 2:], b[..., 2:])
    sides = np.maximum(opposite - corner, 0)
    return sides[..., 0] * sides[..., 1]


def iou_matrix(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """(n, m) intersection over union of every box of (n, 4) `a` with every box of (m, 4) `b`."""
    shared = intersection(a[:, None], b[None])
    union = area(a)[:, None] + area(b)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a frame is scaled, without deformation, and centred on a canvas."""

    source: Size
    canvas: Size

    @property
    def scale(self) -> float:
        return min(self.canvas.width / self.source.width, self.canvas.height / self.source.height)

    @property
    def scaled(self) -> Size:
        """Size of the picture on the canvas, at least one pixel each way."""
        return Size(max(1, round(self.source.width * self.scale)), max(1, round(self.source.height * self.scale)))

    @property
    def offset(self) -> tuple[int, int]:
        """Left and top edge of the picture on the canvas."""
        return (self.canvas.width - self.scaled.width) // 2, (self.canvas.height - self.scaled.height) // 2

    def to_canvas(self, boxes: Boxes) -> Boxes:
        """Map (n, 4) boxes of the source frame to canvas pixels."""
        return (boxes * self._factors() + np.tile(np.array(self.offset, np.float32), 2)).astype(np.float32)

    def to_source(self, boxes: Boxes) -> Boxes:
        """Map (n, 4) boxes of the canvas to pixels of the source frame."""
        return ((boxes - np.tile(np.array(self.offset, np.float32), 2)) / self._factors()).astype(np.float32)

    def _factors(self) -> NDArray[np.float32]:
        x, y = self.scaled.width / self.source.width, self.scaled.height / self.source.height
        return np.array([x, y, x, y], np.float32)
