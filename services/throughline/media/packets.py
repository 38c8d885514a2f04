"""What a stretch of video says of itself without being decoded: the time, size and kind of each of its frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CodedFrames:
    """Frames in order of display. times_ns: (n,) int64, the camera's; sizes: (n,) int64 bytes; keyframes: (n,) whether decoding can
    begin there; wanted: (n,) whether the rate that was asked for takes this frame."""

    times_ns: NDArray[np.int64]
    sizes: NDArray[np.int64]
    keyframes: NDArray[np.bool_]
    wanted: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: list[tuple[int, int, bool, bool]]) -> Self:
        """From rows of time, size, keyframe and wanted."""
        columns = np.array(rows, np.int64).reshape(-1, 4).T
        return cls(columns[0], columns[1], columns[2].astype(bool), columns[3].astype(bool))

    def __len__(self) -> int:
        return len(self.times_ns)
