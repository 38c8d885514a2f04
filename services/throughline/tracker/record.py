"""From detections to the table of tracks, as a stream: what is kept in memory is who is in view, and a few numbers of each track."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Size
from throughline.domain.time import Instant
from throughline.perception.associate import Association, Sighting, Tracked
from throughline.perception.crops import BestMoments, qualities
from throughline.storage.detections import FrameDetections
from throughline.storage.tables import TRACKS_FILE, TrackWriter

CHOSEN = np.dtype([("track_id", np.int64), ("time_ns", np.int64), ("box", np.float32, 4), ("quality", np.float32)])
"""A moment of a track that is worth a crop; box xyxy, pixels of the upright source frame."""
CSV_FILE = "tracks.csv"
_ROWS = 4_096


class TrackLine(NamedTuple):
    """One track in short. Times are the camera's, of its first and last box."""

    track_id: int
    first_ns: int
    last_ns: int
    box_count: int
    mean_score: float
    mean_height_px: float


@dataclass(slots=True)
class _Growing:
    moments: BestMoments
    first_ns: int
    last_ns: int = 0
    box_count: int = 0
    score_sum: float = 0.0
    height_sum: float = 0.0

    def add(self, sighting: Sighting) -> None:
        self.moments.offer(sighting)
        self.last_ns = sighting.time_ns
        self.box_count += 1
        self.score_sum += sighting.score
        self.height_sum += sighting.box[3] - sighting.box[1]


class TrackRecorder:
    """Writes tracks.parquet into `folder` as tracks grow, and keeps of each that has ended a line and its best moments."""

    def __init__(self, folder: Path, crops_per_track: int) -> None:
        self.lines: list[TrackLine] = []
        self.box_count = 0
        self._crops_per_track = crops_per_track
        self._chosen: list[NDArray[np.void]] = []
        self._growing: dict[int, _Growing] = {}
        self._writer = TrackWriter(folder / TRACKS_FILE)
        self._rows: list[tuple[int, Sighting]] = []

    def take(self, news: Iterable[Tracked]) -> None:
        """Add what an association gave out."""
        for each in news:
            for sighting in each.sightings:
                growing = self._growing.get(each.track_id)
                if growing is None:
                    growing = _Growing(BestMoments(self._crops_per_track), sighting.time_ns)
                    self._growing[each.track_id] = growing
                growing.add(sighting)
                self._rows.append((each.track_id, sighting))
            if each.ended:
                self._end(each.track_id)
        if len(self._rows) >= _ROWS:
            self._flush()

    def chosen(self) -> NDArray[np.void]:
        """(m,) of CHOSEN: the best moments of all tracks that have ended, in order of time."""
        all_chosen = np.concatenate([np.zeros(0, CHOSEN), *self._chosen])
        return all_chosen[np.lexsort((all_chosen["track_id"], all_chosen["time_ns"]))]

    def _end(self, track_id: int) -> None:
        track = self._growing.pop(track_id)
        count = track.box_count
        means = (track.score_sum / count, track.height_sum / count)
        self.lines.append(TrackLine(track_id, track.first_ns, track.last_ns, count, *means))
        moments = [(track_id, each.time_ns, each.box, each.quality) for each in track.moments.chosen()]
        self._chosen.append(np.array(moments, CHOSEN))

    def _flush(self) -> None:
        if self._rows:
            ids, sightings = zip(*self._rows, strict=True)
            self._writer.write_boxes(
                np.array(ids, np.int64),
                np.array([each.time_ns for each in sightings], np.int64),
                np.array([each.box for each in sightings], np.float32),
                np.array([each.score for each in sightings], np.float32),
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
            self.lines.sort()
        self._writer.__exit__(kind, error, trace)


def people(found: FrameDetections, size: Size, person_class: int) -> list[Sighting]:
    """The people of one frame of `size`, with how good a crop each gives."""
    rows = found.class_ids == person_class
    boxes, scores = found.boxes[rows], found.scores[rows]
    good = qualities(boxes, scores, size).tolist()
    return [
        Sighting(found.time_ns, (box[0], box[1], box[2], box[3]), score, quality)
        for box, score, quality in zip(boxes.tolist(), scores.tolist(), good, strict=True)
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


def write_csv(path: Path, lines: Iterable[TrackLine], best_crops: Mapping[int, str]) -> None:
    """A line per track for people and spreadsheets; times are the camera's, ISO 8601."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["track_id", "first_seen", "last_seen", "seconds", "boxes", "mean_score", "mean_height_px", "best_crop"]
        )
        for line in lines:
            first, last = Instant(line.first_ns), Instant(line.last_ns)
            seconds = f"{(last - first) / 1e9:.3f}"
            means = (f"{line.mean_score:.3f}", f"{line.mean_height_px:.1f}")
            writer.writerow(
                [line.track_id, first, last, seconds, line.box_count, *means, best_crops.get(line.track_id, "")]
            )
