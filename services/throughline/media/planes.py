"""Pictures as films hold them: planar YUV 4:2:0, so that what a camera recorded reaches the encoder without a detour by RGB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from throughline.domain.geometry import Size
from throughline.media.scaling import scaled

Plane = NDArray[np.uint8]
"""(h, w) uint8; rows may lie apart."""

Scaler = VideoReformatter
"""Scales frames of one run in one thread; it sets itself up once where they are alike."""

PLANAR = frozenset({"yuv420p", "yuvj420p"})
"""Names of the pixel formats whose parts `part_of` takes."""
_AS_IT_IS = 1
"""BT.709, by its number in H.273."""
_BT601 = frozenset({2, 5, 6})
"""Its two kinds, and footage that does not say what it is, which FFmpeg takes for BT.601."""


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """One picture, or a part of one, in BT.709 with limited range: `y` is (h, w), `u` and `v` are (h / 2, w / 2). Even sizes only."""

    y: Plane
    u: Plane
    v: Plane

    @classmethod
    def black(cls, size: Size) -> Self:
        """A picture of its own memory."""
        half = (size.height // 2, size.width // 2)
        return cls(
            np.full((size.height, size.width), 16, np.uint8), np.full(half, 128, np.uint8), np.full(half, 128, np.uint8)
        )

    @classmethod
    def of_rgb(cls, rgb: NDArray[np.uint8]) -> Self:
        """Convert (h, w, 3) uint8 RGB, contiguous."""
        frame = av.VideoFrame.from_numpy_buffer(rgb, format="rgb24")
        return cls.on(frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, threads=1))

    @classmethod
    def of_frame(cls, frame: av.VideoFrame, size: Size, scaler: Scaler | None = None) -> Self:
        """Scale a decoded frame to `size`; read-only where nothing had to be changed."""
        picture = cls.on(_reformatted(frame, size, scaler))
        return picture._from_bt601() if frame.colorspace in _BT601 else picture

    @classmethod
    def of_part(cls, frame: av.VideoFrame, rows: slice, columns: slice, size: Size) -> Self:
        """Scale the part of a decoded frame between even rows and columns to `size`."""
        part = cls.on(_reformatted(frame, Size(frame.width // 2 * 2, frame.height // 2 * 2))).part(rows, columns)
        grows = size.width > part.size.width
        way = cv2.INTER_CUBIC if grows else cv2.INTER_AREA
        sides = ((size.width, size.height), *[(size.width // 2, size.height // 2)] * 2)
        planes = (part.y, part.u, part.v)
        scaled = cls(
            *(
                np.asarray(cv2.resize(plane, side, interpolation=way), np.uint8)
                for plane, side in zip(planes, sides, strict=True)
            )
        )
        return scaled._from_bt601() if frame.colorspace in _BT601 else scaled

    @property
    def size(self) -> Size:
        return Size(self.y.shape[1], self.y.shape[0])

    def part(self, rows: slice, columns: slice) -> Self:
        """A view of the part between even rows and columns."""
        half_rows, half_columns = (slice(each.start // 2, each.stop // 2) for each in (rows, columns))
        return type(self)(self.y[rows, columns], self.u[half_rows, half_columns], self.v[half_rows, half_columns])

    def each(self, change: Callable[[Plane], Plane]) -> Self:
        """A picture of the planes that `change` makes of these."""
        return type(self)(change(self.y), change(self.u), change(self.v))

    def show(self, other: Planes) -> None:
        """Take over another picture of the same size."""
        self.y[:], self.u[:], self.v[:] = other.y, other.u, other.v

    def to_frame(self) -> av.VideoFrame:
        """A copy that an encoder takes."""
        frame = av.VideoFrame(self.size.width, self.size.height, "yuv420p")
        self.on(frame).show(self)
        return frame

    @classmethod
    def on(cls, frame: av.VideoFrame) -> Self:
        """The memory of a frame in yuv420p."""
        return cls(*(_view(plane) for plane in frame.planes))

    def _from_bt601(self) -> Self:
        """From BT.601 to BT.709: the product of the two matrices, several times as fast as swscale's way by RGB."""
        u, v = self.u, self.v
        correction = cv2.resize(_mixed(u, -0.11555, v, -0.20794), self.y.shape[::-1], interpolation=cv2.INTER_LINEAR)
        y = cv2.addWeighted(self.y, 1, correction, 1, -128)
        planes = (y, _mixed(u, 1.01864, v, 0.11462), _mixed(u, 0.07505, v, 1.02533))
        return type(self)(*(np.asarray(plane, np.uint8) for plane in planes))


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """A copy of a part of a `PLANAR` frame, as it was decoded."""

    planes: tuple[Plane, ...]
    rows: slice
    columns: slice
    """Of the planes: what was asked for; planes begin and end at even rows and columns of the frame."""
    pixel_format: str
    colorspace: int
    color_range: int

    @classmethod
    def of(cls, frame: av.VideoFrame, rows: slice, columns: slice) -> Self:
        top, left = rows.start // 2 * 2, columns.start // 2 * 2
        bottom, right = min(rows.stop + rows.stop % 2, frame.height), min(columns.stop + columns.stop % 2, frame.width)
        whole = (_view(plane) for plane in frame.planes)
        planes = tuple(
            plane[top // step : -(-bottom // step), left // step : -(-right // step)].copy()
            for plane, step in zip(whole, (1, 2, 2), strict=True)
        )
        inner = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
        return cls(planes, *inner, frame.format.name, frame.colorspace, frame.color_range)

    def rgb(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8, contiguous."""
        high, wide = self.planes[0].shape
        frame = av.VideoFrame(wide, high, self.pixel_format)
        frame.colorspace, frame.color_range = self.colorspace, self.color_range
        for target, source in zip(frame.planes, self.planes, strict=True):
            _view(target)[:] = source
        pixels = frame.to_ndarray(format="rgb24", threads=1)
        return np.ascontiguousarray(pixels[self.rows, self.columns], np.uint8)


def shrunk(frame: av.VideoFrame, size: Size) -> av.VideoFrame:
    """A `PLANAR` frame made smaller, as it was decoded otherwise. Half the cost of swscale's averaging."""
    small = av.VideoFrame(size.width, size.height, frame.format.name)
    small.colorspace, small.color_range = frame.colorspace, frame.color_range
    for target, plane in zip(map(_view, small.planes), map(_view, frame.planes), strict=True):
        target[:] = scaled(plane, Size(target.shape[1], target.shape[0]))
    return small


class Canvas:
    """A picture that is drawn on again and again, and that an encoder takes without a copy."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.frame = av.VideoFrame(size.width, size.height, "yuv420p")
        self.open().show(Planes.black(size))

    def open(self) -> Planes:
        """The picture, to be changed before the encoder gets it; ask anew after each time that it did."""
        self.frame.make_writable()
        return Planes.on(self.frame)


def _reformatted(frame: av.VideoFrame, size: Size, scaler: Scaler | None = None) -> av.VideoFrame:
    """A frame in yuv420p with limited range, of `size`; of BT.601 it keeps its colours' matrix. Nothing is copied that is so already."""
    native = frame.colorspace == _AS_IT_IS or frame.colorspace in _BT601
    shrinks = size.width < frame.width or size.height < frame.height
    return (scaler or Scaler()).reformat(
        frame,
        format="yuv420p",
        width=size.width,
        height=size.height,
        dst_colorspace=None if native else Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.AREA if shrinks else Interpolation.BILINEAR,
        threads=1,
    )


def _mixed(u: Plane, of_u: float, v: Plane, of_v: float) -> Plane:
    """A weighted sum of two chroma planes around their zero, which is 128."""
    return np.asarray(cv2.addWeighted(u, of_u, v, of_v, 128 * (1 - of_u - of_v)), np.uint8)


def _view(plane: av.video.plane.VideoPlane) -> Plane:
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]
