"""The pictures of each identity: the best of its tracks, from as many videos as there are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.tracker.identities.layout import gallery_folder
from throughline.tracker.identities.tracks import Tracks

Shown = Mapping[int, list[bytes]]
"""Of one video: by track number its pictures, JPEG, the best first."""
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Pick:
    """A picture that is shown: which track's, and the how-manieth of that, from 0."""

    row: int
    rank: int


def picks(
    tracks: Tracks, ids: NDArray[np.int64], qualities: NDArray[np.float64], most: int, per_track: int
) -> dict[int, list[Pick]]:
    """By identity, at most `most` pictures: first the best track of each video, then the other tracks, then more of each track.

    qualities: (n,) of each track's best crop, 0 where it has none.
    """
    rows_of: defaultdict[int, list[int]] = defaultdict(list)
    for row in np.lexsort((np.arange(len(ids)), -qualities)).tolist():
        if qualities[row] > 0:
            rows_of[int(ids[row])].append(row)
    result = {}
    for identity, rows in sorted(rows_of.items()):
        seen: set[int] = set()
        fresh: list[int] = []
        others: list[int] = []
        for row in rows:
            video = int(tracks.video[row])
            (others if video in seen else fresh).append(row)
            seen.add(video)
        order = [Pick(row, rank) for rank in range(per_track) for row in [*fresh, *others]]
        result[identity] = order[:most]
    return result


def write_galleries(
    folder: Path, tracks: Tracks, picked: Mapping[int, Iterable[Pick]], pictures_of: Callable[[int, set[int]], Shown]
) -> dict[int, list[Path]]:
    """Write galleries/global_<id>/*.jpg; by identity, where its pictures are. `pictures_of`: those of a video, by its place,
    and of the tracks whose numbers are given.

    One video's pictures are in memory at a time.
    """
    wanted: defaultdict[int, list[tuple[int, int, Pick]]] = defaultdict(list)
    for identity, chosen in picked.items():
        for place, pick in enumerate(chosen):
            wanted[int(tracks.video[pick.row])].append((identity, place, pick))
    written: defaultdict[int, list[tuple[int, Path]]] = defaultdict(list)
    for video, asked in sorted(wanted.items()):
        shown = pictures_of(video, {int(tracks.numbers[pick.row]) for _, _, pick in asked})
        for identity, place, pick in asked:
            number = int(tracks.numbers[pick.row])
            pictures = shown.get(number, [])
            if pick.rank < len(pictures):
                name = re.sub(r"[^\w.-]+", "_", tracks.videos[video].name)[:_LONGEST_NAME]
                path = folder / gallery_folder(identity) / f"{place:02d}_{name}_{number:06d}_{pick.rank}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(pictures[pick.rank])
                written[identity].append((place, path))
    return {identity: [path for _, path in sorted(paths)] for identity, paths in sorted(written.items())}
