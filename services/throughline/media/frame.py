"""A decoded frame, with the camera's own time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from throughline.domain.geometry import Box, Size
from throughline.domain.time import Instant, Interval
from throughline.media.planes import PLANAR, Cutout, Planes, Scaler, shrunk

Picture = NDArray[np.uint8]
"""(height, width, 3) uint8, RGB, upright, contiguous."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a reel. `picture` is as decoded, before rotation; `part` is its part's index in the reel."""

    time: Instant
    duration_ns: int
    """How long it is shown: to the next frame, the next gap or the end of the part."""
    size: Size
    """Upright."""
    rotation_degrees: int
    """Clockwise turn from `picture` to upright: 0, 90, 180 or 270."""
    picture: av.VideoFrame
    part: int
    _whole: list[Picture] = field(default_factory=list, init=False, repr=False)
    """The upright picture, once a cutout needed it."""

    @property
    def span(self) -> Interval:
        return Interval(self.time, self.time + self.duration_ns)

    def rgb(self, size: Size | None = None) -> Picture:
        """The upright picture, scaled to exactly `size` (default: its own).

        Only that size is ever converted to RGB, so asking for a small picture is much cheaper than shrinking a full one.
        """
        upright = size or self.size
        turned = self.rotation_degrees in (90, 270)
        width, height = (upright.height, upright.width) if turned else (upright.width, upright.height)
        picture = self.picture
        shrinks = width < picture.width or height < picture.height
        if shrinks and width <= picture.width and height <= picture.height and picture.format.name in PLANAR:
            picture = shrunk(picture, Size(width, height))
        pixels = picture.to_ndarray(
            format="rgb24",
            width=width,
            height=height,
            interpolation=Interpolation.AREA if shrinks else Interpolation.BILINEAR,
            threads=1,
        )
        if self.rotation_degrees:
            pixels = np.rot90(pixels, -(self.rotation_degrees // 90))
        return np.ascontiguousarray(pixels, dtype=np.uint8)

    def cutout(self, rows: slice, columns: slice) -> Callable[[], Picture]:
        """A part of the upright picture, to be asked for when it is needed, also once the frame is gone: the same pixels as `rgb` has
        there. Where the camera hangs upright nothing is converted before, and nothing else then; elsewhere the whole picture, once."""
        as_shown = (self.picture.width, self.picture.height) == (self.size.width, self.size.height)
        if self.rotation_degrees or not as_shown or self.picture.format.name not in PLANAR:
            if not self._whole:
                self._whole.append(self.rgb())
            pixels = self._whole[0][rows, columns].copy()
            return lambda: pixels
        return Cutout.of(self.picture, rows, columns).rgb

    def planes(self, size: Size, scaler: Scaler | None = None) -> Planes:
        """The upright picture as films hold it, scaled to exactly `size`, which is even."""
        turned = self.rotation_degrees in (90, 270)
        return self._upright(Planes.of_frame(self.picture, Size(size.height, size.width) if turned else size, scaler))

    def cut(self, part: Box, size: Size) -> Planes:
        """A part of the upright picture, scaled to exactly `size`, which is even; only that part is scaled.

        `part` lies in the picture, in pixels of it; its edges are rounded to even ones of the decoded picture.
        """
        whole = self.picture.width, self.picture.height
        left, top, right, bottom = self._as_decoded(part)
        edges = [_even(edge, limit) for edge, limit in ((left, whole[0]), (top, whole[1]))]
        ends = [
            max(start + 2, _even(end, limit)) for start, end, limit in zip(edges, (right, bottom), whole, strict=True)
        ]
        turned = self.rotation_degrees in (90, 270)
        columns, rows = (slice(start, end) for start, end in zip(edges, ends, strict=True))
        picture = Planes.of_part(self.picture, rows, columns, Size(size.height, size.width) if turned else size)
        return self._upright(picture)

    def _upright(self, picture: Planes) -> Planes:
        turns = -(self.rotation_degrees // 90)
        return picture.each(lambda plane: np.rot90(plane, turns)) if turns else picture

    def _as_decoded(self, part: Box) -> tuple[float, float, float, float]:
        """Where a part of the upright picture lies in the decoded one, whose pixels may not be square."""
        width, height = self.size.width, self.size.height
        left, top, right, bottom = part.left / width, part.top / height, part.right / width, part.bottom / height
        turned = {
            0: (left, top, right, bottom),
            90: (top, 1 - right, bottom, 1 - left),
            180: (1 - right, 1 - bottom, 1 - left, 1 - top),
            270: (1 - bottom, left, 1 - top, right),
        }[self.rotation_degrees]
        coded = self.picture.width, self.picture.height
        return turned[0] * coded[0], turned[1] * coded[1], turned[2] * coded[0], turned[3] * coded[1]


def _even(edge: float, limit: int) -> int:
    return min(max(0, round(edge / 2) * 2), limit // 2 * 2 - 2)
