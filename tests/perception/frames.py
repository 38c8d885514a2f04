"""Frames as a reel gives them, made of pixels."""

from __future__ import annotations

import av
import numpy as np

from throughline.domain.geometry import Size
from throughline.domain.time import Instant
from throughline.media.frame import Frame, Picture


def frame(pixels: Picture, rotation_degrees: int = 0, time: int = 0, pixel_format: str = "yuv420p") -> Frame:
    """A frame that shows `pixels` when upright."""
    coded = np.ascontiguousarray(np.rot90(pixels, rotation_degrees // 90))
    size = Size(pixels.shape[1], pixels.shape[0])
    picture = av.VideoFrame.from_ndarray(coded, format="rgb24").reformat(format=pixel_format)
    return Frame(Instant(time), 1, size, rotation_degrees, picture, 0)
