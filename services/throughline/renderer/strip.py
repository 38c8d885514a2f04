"""A run of pictures kept in a file, so that one half drawn once serves every clip of a job without staying in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from throughline.domain.geometry import Size
from throughline.media.planes import Planes


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture and the time from which it is shown, nanoseconds since the start of its half."""

    time_ns: int
    picture: Planes


@dataclass(frozen=True, slots=True)
class Strip:
    """Pictures of one size in order of time. Reading is safe from several threads."""

    times_ns: tuple[int, ...]
    size: Size
    pictures: np.memmap[tuple[int, int], np.dtype[np.uint8]]
    """(n, 3 / 2 * h * w) uint8: the planes of each picture, one after the other."""

    @classmethod
    def record(cls, path: Path, shown: Iterable[Shown]) -> Strip:
        """Write every picture to a new file at `path`."""
        times_ns: list[int] = []
        size = Size(0, 0)
        with path.open("wb") as file:
            for each in shown:
                for plane in (each.picture.y, each.picture.u, each.picture.v):
                    file.write(np.ascontiguousarray(plane).data)
                times_ns.append(each.time_ns)
                size = each.picture.size
        pictures = np.memmap(path, np.uint8, mode="r", shape=(len(times_ns), size.height * size.width * 3 // 2))
        return cls(tuple(times_ns), size, pictures)

    def __iter__(self) -> Iterator[Shown]:
        return (Shown(time_ns, self._picture(index)) for index, time_ns in enumerate(self.times_ns))

    def _picture(self, index: int) -> Planes:
        height, width = self.size.height, self.size.width
        rows = np.asarray(self.pictures[index]).reshape(height * 3 // 2, width)
        u, v = rows[height:].reshape(2, height // 2, width // 2)
        return Planes(rows[:height], u, v)
