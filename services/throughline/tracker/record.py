"""From detections to the table of tracks, as a stream: what is kept in memory is who is in view, and a few numbers of each track."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Size
from throughline.perception.associate import Association, Cut, Sighting, Tracked
from throughline.perception.crops import BestMoments, Moment, qualities
from throughline.storage.detections import FrameDetections
from throughline.storage.tables import TRACKS_FILE, TrackWriter

CHOSEN = np.dtype(
    [
        ("track_id", np.int64),
        ("time_ns", np.int64),
        ("box", np.float32, 4),
        ("quality", np.float32),
        ("clear", np.bool_),
    ]
)
"""A Moment of a track; box xyxy, pixels of the upright source frame."""
_ROWS = 4_096

Corners = tuple[float, float, float, float]


class TrackRecorder:
    """Writes tracks.parquet into `folder` as tracks grow, and keeps of each when it began, and its best moments once it has ended.
    Of those, the ones whose crops are at hand go to `take_crop` with their track.

    starts_ns: by track, the camera's time of its first box.
    """

    def __init__(
        self, folder: Path, crops_per_track: int, take_crop: Callable[[int, Moment, Cut], None] | None = None
    ) -> None:
        self.starts_ns: dict[int, int] = {}
        self.box_count = 0
        self._crops_per_track = crops_per_track
        self._chosen: list[NDArray[np.void]] = []
        self._growing: dict[int, BestMoments] = {}
        self._writer = TrackWriter(folder / TRACKS_FILE)
        self._take_crop = take_crop
        self._rows: list[tuple[int, int, Corners, float]] = []

    def take(self, news: Iterable[Tracked]) -> None:
        """Add what an association gave out."""
        for each in news:
            for sighting in each.sightings:
                moments = self._growing.get(each.track_id)
                if moments is None:
                    moments = self._growing[each.track_id] = BestMoments(self._crops_per_track)
                    self.starts_ns[each.track_id] = sighting.time_ns
                moments.offer(sighting)
                self._rows.append((each.track_id, sighting.time_ns, sighting.box, sighting.score))
            if each.ended:
                self._end(each.track_id)
        if len(self._rows) >= _ROWS:
            self._flush()

    def chosen(self) -> NDArray[np.void]:
        """(m,) of CHOSEN: the best moments of all tracks that have ended, without those that were taken, in order of time."""
        all_chosen = np.concatenate([np.zeros(0, CHOSEN), *self._chosen])
        return all_chosen[np.lexsort((all_chosen["track_id"], all_chosen["time_ns"]))]

    def _end(self, track_id: int) -> None:
        left = []
        for each in self._growing.pop(track_id).chosen():
            at = each.sighting
            if self._take_crop is None or at.crop is None:
                left.append((track_id, at.time_ns, at.box, at.quality, each.clear))
            else:
                self._take_crop(track_id, each, at.crop)
        self._chosen.append(np.array(left, CHOSEN))

    def _flush(self) -> None:
        if self._rows:
            ids, times_ns, boxes, scores = zip(*self._rows, strict=True)
            self._writer.write_boxes(
                np.array(ids, np.int64),
                np.array(times_ns, np.int64),
                np.array(boxes, np.float32),
                np.array(scores, np.float32),
            )
            self.box_count += len(self._rows)
            self._rows = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.__exit__(kind, error, trace)


def people(found: FrameDetections, size: Size, person_class: int) -> list[Sighting]:
    """The people of one frame of `size`, with how good a crop each gives."""
    rows = np.flatnonzero(found.class_ids == person_class)
    boxes, scores = found.boxes[rows], found.scores[rows]
    good = qualities(boxes, scores, size).tolist()
    return [
        Sighting(found.time_ns, (box[0], box[1], box[2], box[3]), score, quality, found.crops.get(row))
        for row, box, score, quality in zip(rows.tolist(), boxes.tolist(), scores.tolist(), good, strict=True)
    ]


def record_tracks(
    frames: Iterable[tuple[Size, FrameDetections]], person_class: int, association: Association, recorder: TrackRecorder
) -> int:
    """Associate frames that come in order of time and record their tracks; return how many frames there were."""
    count = 0
    for size, found in frames:
        recorder.take(association.update(size, found.time_ns, people(found, size, person_class)))
        count += 1
    recorder.take(association.finish())
    return count
