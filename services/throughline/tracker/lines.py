"""One line per track: what tracks.csv says of it, to people and spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from throughline.domain.time import Instant
from throughline.storage.tables import BoxBlock

CSV_FILE = "tracks.csv"


class TrackLine(NamedTuple):
    """One track in short. Times are the camera's, of its first and last box."""

    track_id: int
    first_ns: int
    last_ns: int
    box_count: int
    mean_score: float
    mean_height_px: float


class TrackLines:
    """Sums up tracks from blocks of their boxes, each track's in order of time; keeps a few numbers of each."""

    def __init__(self) -> None:
        self._sums: dict[int, TrackLine] = {}

    def add(self, block: BoxBlock) -> None:
        """Take more boxes."""
        heights = block.boxes[:, 3] - block.boxes[:, 1]
        for track_id in np.unique(block.track_ids).tolist():
            rows = np.flatnonzero(block.track_ids == track_id)
            first, last = int(block.times_ns[rows[0]]), int(block.times_ns[rows[-1]])
            known = self._sums.get(track_id, TrackLine(track_id, first, last, 0, 0.0, 0.0))
            self._sums[track_id] = TrackLine(
                track_id,
                known.first_ns,
                last,
                known.box_count + len(rows),
                known.mean_score + float(block.scores[rows].sum(dtype=np.float64)),
                known.mean_height_px + float(heights[rows].sum(dtype=np.float64)),
            )

    def lines(self) -> list[TrackLine]:
        """A line for each track, by rising id."""
        return [
            each._replace(
                mean_score=each.mean_score / each.box_count, mean_height_px=each.mean_height_px / each.box_count
            )
            for _, each in sorted(self._sums.items())
        ]


def write_csv(path: Path, lines: Iterable[TrackLine], best_crops: Mapping[int, str]) -> None:
    """A line per track; times are the camera's, ISO 8601."""
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
