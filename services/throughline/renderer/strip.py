"""A run of pictures kept in a file, so that one half drawn once serves every clip of a job without staying in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from throughline.renderer.draw import Image


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture and the time from which it is shown, nanoseconds since the start of its half."""

    time_ns: int
    picture: Image


@dataclass(frozen=True, slots=True)
class Strip:
    """Pictures in order of time. Reading is safe from several threads."""

    times_ns: tuple[int, ...]
    pictures: np.memmap[tuple[int, int, int, int], np.dtype[np.uint8]]
    """(n, h, w, 3) uint8, RGB."""

    @classmethod
    def record(cls, path: Path, shown: Iterable[Shown]) -> Strip:
        """Write every picture, all of one size, to a new file at `path`."""
        times_ns: list[int] = []
        shape: tuple[int, ...] = (0, 0, 3)
        with path.open("wb") as file:
            for each in shown:
                file.write(each.picture.data)
                times_ns.append(each.time_ns)
                shape = each.picture.shape
        pictures = np.memmap(path, np.uint8, mode="r", shape=(len(times_ns), *shape))
        return cls(tuple(times_ns), pictures)

    def __iter__(self) -> Iterator[Shown]:
        return (Shown(time_ns, picture) for time_ns, picture in zip(self.times_ns, self.pictures, strict=True))
