"""Frames as a detector wants them: scaled without deformation onto a grey canvas."""

from __future__ import annotations

import numpy as np

from throughline.domain.geometry import Letterbox
from throughline.media.frame import Frame, Picture

GREY = 114


def letterboxed(frame: Frame, letterbox: Letterbox) -> Picture:
    """The upright frame on `letterbox.canvas`: (height, width, 3) uint8 RGB, grey 114 around it."""
    canvas, scaled = letterbox.canvas, letterbox.scaled
    picture = frame.rgb(scaled)
    if scaled == canvas:
        return picture
    left, top = letterbox.offset
    whole = np.full((canvas.height, canvas.width, 3), GREY, np.uint8)
    whole[top : top + scaled.height, left : left + scaled.width] = picture
    return whole
