"""From a drawn frame to what a camera's sensor delivers: planar YUV with blur, flicker and noise."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.simulation.camera import Camera

Image = NDArray[np.uint8]
Region = tuple[slice, slice]
"""Rows and columns of a frame."""

_NOISE_TILES = 7
_NOISE_MEAN = 16.0
_CHROMA_NOISE = 0.4


class Sensor:
    """One camera's sensor. Knows the empty picture, so that only what has changed is converted."""

    def __init__(self, camera: Camera, empty: Image, stream: np.random.Generator) -> None:
        self._size, self._blur = camera.size, camera.look.blur
        self._empty = self._planar(empty)
        spread = np.full(camera.size.height * 3 // 2, camera.look.noise)
        spread[camera.size.height :] *= _CHROMA_NOISE
        noise = stream.normal(_NOISE_MEAN, spread[:, None], (_NOISE_TILES, len(spread), camera.size.width))
        self._noise = np.clip(np.rint(noise), 0, 2 * _NOISE_MEAN).astype(np.uint8)
        self._flicker = stream.uniform([0.004, 0.005, 0.3], [0.02, 0.03, 6.0])

    def expose(self, frame: Image, changed: Iterable[Region], seconds: float) -> Image:
        """(h * 3 / 2, w) uint8 planar YUV 4:2:0 of (h, w, 4) BGR `frame`, which is the empty picture outside the `changed` regions."""
        planes = self._empty.copy()
        for region in changed:
            self._renew(planes, frame, region)
        luma = planes[: self._size.height]
        fast, slow, rate = self._flicker
        gain = 1.0 + fast * np.sin(seconds * 37.0) + slow * np.sin(seconds * rate)
        table = np.clip(np.rint(np.arange(256) * gain), 0, 255).astype(np.uint8)
        cv2.LUT(luma, table, dst=luma)
        shifted = cv2.add(planes, self._noise[round(seconds * 1000) % _NOISE_TILES])
        return np.asarray(cv2.subtract(shifted, np.full((1, 1), _NOISE_MEAN)), np.uint8)

    def _planar(self, picture: Image) -> Image:
        planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2YUV_I420), np.uint8)
        if self._blur:
            luma = planes[: len(picture)]
            cv2.GaussianBlur(luma, (3, 3), 0.7, dst=luma)
        return planes

    def _renew(self, planes: Image, frame: Image, region: Region) -> None:
        """Convert one region anew; the blur reaches one pixel beyond it and needs one more around."""
        height, width = self._size.height, self._size.width
        (top, bottom), (left, right) = _even(region[0], 2, height), _even(region[1], 2, width)
        (above, below), (before, after) = _even(region[0], 4, height), _even(region[1], 4, width)
        part = self._planar(np.ascontiguousarray(frame[above:below, before:after]))
        tall, wide = below - above, after - before
        planes[top:bottom, left:right] = part[top - above : bottom - above, left - before : right - before]
        whole = planes[height:].reshape(2, height // 2, width // 2)
        fresh = part[tall:].reshape(2, tall // 2, wide // 2)
        whole[:, top // 2 : bottom // 2, left // 2 : right // 2] = fresh[
            :, (top - above) // 2 : (bottom - above) // 2, (left - before) // 2 : (right - before) // 2
        ]


def _even(span: slice, margin: int, limit: int) -> tuple[int, int]:
    """The span grown by a margin to even ends, within 0 and an even limit."""
    return max(0, span.start - margin) // 2 * 2, min(limit, (span.stop + margin + 1) // 2 * 2)
