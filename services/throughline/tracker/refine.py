"""Divides tracks that went over from one person to another, where the looks of their crops say so.

An association sees positions alone, and takes one person for the next where they pass close by. Once the crops are embedded, the
looks before and after any moment of a track can be compared: where they are more likely two people's than one's, it is two tracks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from throughline.domain.calibration import Calibration
from throughline.domain.geometry import Boxes, area, intersection
from throughline.domain.tracks import TrackEmbeddings
from throughline.storage.tables import TRACKS_FILE, EmbeddingWriter, TrackWriter, read_embeddings, track_blocks
from throughline.tracker.gallery import CROPS_FOLDER, crop_file
from throughline.tracker.lines import TrackLine, TrackLines
from throughline.tracker.match import EVEN_ODDS

_LEAST_CROPS = 2
"""On each side of a division: the look of one crop alone may be the look of somebody who stood in between."""


class Change(NamedTuple):
    """Two crops of one track, one after the other, the second of somebody else. Times of the camera."""

    before_ns: int
    after_ns: int


@dataclass(frozen=True)
class Refined:
    """The tracks that were written, and of each the file of its best crop."""

    lines: list[TrackLine]
    best_crops: dict[int, str]


def refine(raw: Path, starts_ns: Mapping[int, int], folder: Path, calibration: Calibration | None) -> Refined:
    """Write the tracks and crops of `raw` into `folder`, those of two people divided; without a calibration as they are.

    starts_ns: the camera's time at which each track of `raw` begins. New ids count from 1 in order of time. Files move.
    """
    embeddings = read_embeddings(raw)
    found = {} if calibration is None else changes(embeddings, calibration)
    parts = Parts(starts_ns, divisions(raw / TRACKS_FILE, found))
    lines = TrackLines()
    with TrackWriter(folder / TRACKS_FILE) as writer:
        for block in track_blocks(raw / TRACKS_FILE):
            renumbered = block._replace(track_ids=parts.renumbered(block.track_ids, block.times_ns))
            writer.write_boxes(*renumbered)
            lines.add(renumbered)
    return Refined(lines.lines(), _move_crops(raw, folder, embeddings, parts))


def changes(embeddings: TrackEmbeddings, calibration: Calibration) -> dict[int, list[Change]]:
    """Where tracks change from person to person, in order of time, by id; those that don't are left out."""
    found: dict[int, list[Change]] = {}
    ids, starts = np.unique(embeddings.track_ids, return_index=True)
    for track_id, start, end in zip(ids.tolist(), starts, [*starts[1:], len(embeddings.track_ids)], strict=True):
        times = embeddings.times_ns[start:end].tolist()
        weighted = embeddings.vectors[start:end] * embeddings.qualities[start:end, None]
        breaks = sorted(_breaks(weighted, 0, calibration))
        if breaks:
            found[track_id] = [Change(times[index - 1], times[index]) for index in breaks]
    return found


def _breaks(weighted: NDArray[np.float32], offset: int, calibration: Calibration) -> Iterator[int]:
    """Crops that begin somebody else: the most telling one of (m, d) weighted vectors, and those on both sides of it."""
    if len(weighted) < 2 * _LEAST_CROPS:
        return
    before = np.cumsum(weighted, axis=0)[_LEAST_CROPS - 1 : -_LEAST_CROPS]
    after = weighted.sum(axis=0) - before
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosines = (before * after).sum(axis=1) / np.maximum(norms, 1e-9)
    at = int(cosines.argmin())
    if calibration.apply(cosines[at]) >= EVEN_ODDS:
        return
    at += _LEAST_CROPS
    yield offset + at
    yield from _breaks(weighted[:at], offset, calibration)
    yield from _breaks(weighted[at:], offset + at, calibration)


def divisions(path: Path, found: Mapping[int, list[Change]]) -> dict[int, list[int]]:
    """Times of the boxes that begin somebody else, by track: between the two crops of each change, where a box overlaps the one
    before it least."""
    rows: dict[tuple[int, Change], list[tuple[NDArray[np.int64], Boxes]]] = defaultdict(list)
    for block in track_blocks(path) if found else ():
        for track_id in found.keys() & set(np.unique(block.track_ids).tolist()):
            own = block.track_ids == track_id
            for change in found[track_id]:
                within = own & (block.times_ns >= change.before_ns) & (block.times_ns <= change.after_ns)
                if within.any():
                    rows[track_id, change].append((block.times_ns[within], block.boxes[within]))
    divided: dict[int, list[int]] = {track_id: [] for track_id in found}
    for (track_id, _), pieces in sorted(rows.items(), key=lambda each: each[0]):
        times, boxes = (np.concatenate(column) for column in zip(*pieces, strict=True))
        divided[track_id].append(int(times[1 + _overlaps(boxes).argmin()]))
    return divided


def _overlaps(boxes: Boxes) -> NDArray[np.floating]:
    """(n - 1,) IoU of each of (n, 4) boxes with the next."""
    shared, areas = intersection(boxes[:-1], boxes[1:]), area(boxes)
    return np.asarray(shared / np.maximum(areas[:-1] + areas[1:] - shared, 1e-9))


class Parts:
    """The numbers of tracks once they are divided: from 1, in order of time."""

    def __init__(self, starts_ns: Mapping[int, int], divided: Mapping[int, list[int]]) -> None:
        """starts_ns: when each track begins; divided: when somebody else does, in order."""
        begins = [(start, track_id) for track_id, start in starts_ns.items()]
        begins += [(start, track_id) for track_id, starts in divided.items() for start in starts]
        self._divided = divided
        self._numbers: dict[int, list[int]] = defaultdict(list)
        for number, (_, track_id) in enumerate(sorted(begins), start=1):
            self._numbers[track_id].append(number)

    def renumbered(self, track_ids: NDArray[np.int64], times_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) new numbers of boxes or crops of (n,) tracks at (n,) times."""
        ids, index = np.unique(track_ids, return_inverse=True)
        numbers = np.array([self._numbers[track_id][0] for track_id in ids.tolist()], np.int64)[index]
        for track_id in self._divided.keys() & set(ids.tolist()):
            rows = track_ids == track_id
            part = np.searchsorted(self._divided[track_id], times_ns[rows], side="right")
            numbers[rows] = np.array(self._numbers[track_id], np.int64)[part]
        return numbers


def _move_crops(raw: Path, folder: Path, embeddings: TrackEmbeddings, parts: Parts) -> dict[int, str]:
    """Move crops and vectors to their tracks; return the best crop of each."""
    (folder / CROPS_FOLDER).mkdir()
    best: dict[int, tuple[float, str]] = {}
    numbers = parts.renumbered(embeddings.track_ids, embeddings.times_ns).tolist()
    moments = zip(numbers, embeddings.times_ns.tolist(), embeddings.qualities.tolist(), embeddings.crops, strict=True)
    with EmbeddingWriter(folder, embeddings.vectors.shape[1]) as writer:
        for row, (track_id, time_ns, quality, crop) in enumerate(moments):
            file = crop_file(track_id, time_ns)
            (raw / crop).rename(folder / file)
            writer.add(track_id, time_ns, quality, file, embeddings.vectors[row])
            best[track_id] = max(best.get(track_id, (-1.0, "")), (quality, file))
    return {track_id: file for track_id, (_, file) in best.items()}
