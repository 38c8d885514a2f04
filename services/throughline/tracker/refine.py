"""From an association's tracks to those that are kept: divided where they went over from one person to another, joined where one
person was out of sight, and numbered anew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.domain.calibration import Calibration
from throughline.domain.time import Instant
from throughline.domain.tracks import TrackEmbeddings
from throughline.perception.camera_motion import CameraPath, shifted
from throughline.storage import documents
from throughline.storage.pictures import PICTURES_FILE
from throughline.storage.tables import TRACKS_FILE, TrackWriter, read_embeddings, track_blocks, write_embeddings
from throughline.tracker.divide import cosine, divisions
from throughline.tracker.ends import TrackEnds
from throughline.tracker.join import NO_JOINS, Join, JoinSettings, Looks, chains, joins
from throughline.tracker.lineage import LINEAGE_FILE, Origin, lineage
from throughline.tracker.lines import TrackLine, TrackLines


@dataclass(frozen=True)
class Refined:
    """The tracks that were written, and of each the picture of its best crop."""

    lines: list[TrackLine]
    best_crops: dict[int, str]


def refine(
    raw: Path,
    starts_ns: Mapping[int, int],
    folder: Path,
    calibration: Calibration | None,
    camera: CameraPath | None = None,
    joining: JoinSettings = NO_JOINS,
) -> Refined:
    """Write the tracks and crops of `raw` into `folder`, those of two people divided, those of one joined, with their lineage.

    starts_ns: the camera's time at which each track of `raw` begins. Without a calibration nothing is divided, and tracks are joined
    by motion alone. `camera`: how it moved. New ids count from 1 in order of time. Files move.
    """
    embeddings, table = read_embeddings(raw), raw / TRACKS_FILE
    divided = {} if calibration is None else divisions(table, embeddings, calibration)
    parts = Parts(starts_ns, divided)
    joined = _joined(table, parts, camera or CameraPath(), joining, _looks(embeddings, parts, calibration))
    parts.join(joined)
    (folder / LINEAGE_FILE).write_bytes(documents.dump(lineage(parts.origins(), joined)))
    lines = TrackLines()
    with TrackWriter(folder / TRACKS_FILE) as writer:
        for block in track_blocks(table):
            renumbered = block._replace(track_ids=parts.renumbered(block.track_ids, block.times_ns))
            writer.write_boxes(*renumbered)
            lines.add(renumbered)
    return Refined(lines.lines(), _move_crops(raw, folder, embeddings, parts))


class Parts:
    """The numbers of tracks once they are divided, and then joined: from 1, in order of time."""

    def __init__(self, starts_ns: Mapping[int, int], divided: Mapping[int, list[int]]) -> None:
        """starts_ns: when each track begins; divided: when somebody else does, in order."""
        begins = [(start, track_id) for track_id, start in starts_ns.items()]
        begins += [(start, track_id) for track_id, starts in divided.items() for start in starts]
        self._begins = sorted(begins)
        self._divided = divided
        self._numbers: dict[int, list[int]] = defaultdict(list)
        for number, (_, track_id) in enumerate(self._begins, start=1):
            self._numbers[track_id].append(number)

    def origins(self) -> list[Origin]:
        """Where each part came from, by its number before it was joined."""
        return [
            Origin(number, track_id, Instant(start), start in self._divided.get(track_id, ()))
            for number, (start, track_id) in enumerate(self._begins, start=1)
        ]

    def join(self, joined: Sequence[Join]) -> None:
        """Number the parts anew, those that were joined alike."""
        joined_chains = chains(range(1, len(self._begins) + 1), joined)
        anew = {part: number for number, chain in enumerate(joined_chains, start=1) for part in chain}
        for track_id, numbers in self._numbers.items():
            self._numbers[track_id] = [anew[number] for number in numbers]

    def renumbered(self, track_ids: NDArray[np.int64], times_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) new numbers of boxes or crops of (n,) tracks at (n,) times."""
        ids, index = np.unique(track_ids, return_inverse=True)
        numbers = np.array([self._numbers[track_id][0] for track_id in ids.tolist()], np.int64)[index]
        for track_id in self._divided.keys() & set(ids.tolist()):
            rows = track_ids == track_id
            part = np.searchsorted(self._divided[track_id], times_ns[rows], side="right")
            numbers[rows] = np.array(self._numbers[track_id], np.int64)[part]
        return numbers


def _joined(table: Path, parts: Parts, camera: CameraPath, joining: JoinSettings, looks: Looks | None) -> list[Join]:
    if not joining.longest_seconds:
        return []
    ends = TrackEnds()
    for block in track_blocks(table):
        numbers = parts.renumbered(block.track_ids, block.times_ns)
        ends.add(numbers, block.times_ns, shifted(block.boxes, camera.shifts(block.times_ns)))
    return joins(ends.ends(), joining, camera.breaks_ns, looks)


def _looks(embeddings: TrackEmbeddings, parts: Parts, calibration: Calibration | None) -> Looks | None:
    """How likely two parts show one person, by the sums of their clear crops' weighted vectors."""
    if calibration is None:
        return None
    rows_of: dict[int, list[int]] = defaultdict(list)
    numbers = parts.renumbered(embeddings.track_ids, embeddings.times_ns)
    for row in np.flatnonzero(embeddings.clear).tolist():
        rows_of[int(numbers[row])].append(row)

    def descriptor(number: int) -> NDArray[np.float32]:
        rows = rows_of[number]
        return np.asarray((embeddings.vectors[rows] * embeddings.qualities[rows, None]).sum(axis=0), np.float32)

    def likelihood(before: int, after: int) -> float | None:
        if before not in rows_of or after not in rows_of:
            return None
        return float(calibration.apply(cosine(descriptor(before), descriptor(after))))

    return likelihood


def _move_crops(raw: Path, folder: Path, embeddings: TrackEmbeddings, parts: Parts) -> dict[int, str]:
    """Write crops and vectors with their tracks' new numbers; return the best crop of each."""
    numbers = parts.renumbered(embeddings.track_ids, embeddings.times_ns)
    write_embeddings(folder, replace(embeddings, track_ids=numbers))
    (raw / PICTURES_FILE).rename(folder / PICTURES_FILE)
    best = np.lexsort((embeddings.qualities, embeddings.clear))
    return {int(numbers[row]): embeddings.crops[row] for row in best.tolist()}
