"""The person to be found: their track in one camera, as upstream gave it. Times are that camera's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Boxes
from throughline.domain.time import Instant, Interval


@dataclass(frozen=True)
class Query:
    """times_ns: (n,) int64, strictly increasing, camera time; boxes: (n, 4) float32, xyxy, pixels of the upright source frame."""

    camera: str
    label: str
    times_ns: NDArray[np.int64]
    boxes: Boxes

    @property
    def span(self) -> Interval:
        """First to last observation."""
        return Interval(Instant(int(self.times_ns[0])), Instant(int(self.times_ns[-1])))
