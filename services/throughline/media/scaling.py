"""Pictures of another size, at a fraction of what exact averaging costs."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Size


def scaled(picture: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """A picture or a plane of one, (h, w) or (h, w, c) uint8, as `size`, contiguous; stretched where that has another shape.

    Where it is made smaller it is halved each way, by means, for as long as more than twice the size is left, then scaled between
    the nearest pixels: noise is averaged as well as by exact means, and what detectors are trained with is alike. Odd lines at the
    far edges are left out on the way, by which nothing moves as far as a pixel.
    """
    while (high := picture.shape[0]) > 2 * size.height or picture.shape[1] > 2 * size.width:
        wide = picture.shape[1]
        down, across = 1 + (high > 2 * size.height), 1 + (wide > 2 * size.width)
        even = picture[: high // down * down, : wide // across * across]  # an odd line more would cost 25 times as much
        half = (even.shape[1] // across, even.shape[0] // down)
        picture = np.asarray(cv2.resize(even, half, interpolation=cv2.INTER_AREA), np.uint8)
    linear = cv2.resize(picture, (size.width, size.height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(linear, np.uint8)
