"""Playing a finished film from end to end, to know that it plays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av


@dataclass(frozen=True, slots=True)
class Film:
    """A video that was decoded from its first to its last frame."""

    path: Path
    frames: int
    seconds: float


def played(path: Path) -> Film:
    """Decode a whole video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames, end = 0, 0
        for frame in container.decode(stream):
            frames, end = frames + 1, (frame.pts or 0) + (frame.duration or 0)
        return Film(path, frames, float(end * (stream.time_base or 0)))
