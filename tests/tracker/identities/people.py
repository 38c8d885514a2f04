"""Small sets of tracks for the tests of identities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from throughline.domain.time import NS_PER_SECOND
from throughline.tracker.identities.tracks import Tracks, Video, VideoTracks, gathered


@dataclass(frozen=True)
class Seen:
    """One track: seconds from `start` to `end`; `vector` of any length."""

    video: str
    number: int
    start: float
    end: float
    vector: tuple[float, ...]
    kind: str = "person"


def tracks_of(seen: Sequence[Seen], cameras: dict[str, str] | None = None, *, timed: bool = True) -> Tracks:
    """As identities take them; `cameras`: of videos, by default their names."""
    parts = []
    for name in {each.video for each in seen}:
        own = [each for each in seen if each.video == name]
        vectors = np.array([each.vector for each in own], np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
        parts.append(
            VideoTracks(
                Video(name, (cameras or {}).get(name, name), timed),
                np.array([each.number for each in own], np.int64),
                tuple(each.kind for each in own),
                np.array([round(each.start * NS_PER_SECOND) for each in own], np.int64),
                np.array([round(each.end * NS_PER_SECOND) for each in own], np.int64),
                np.full(len(own), 10, np.int64),
                vectors,
            )
        )
    return gathered(parts)
