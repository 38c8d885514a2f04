"""embeddings/<video>_track_meta.csv: what is known of each track whose crops were described, for people and other tools."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from throughline.storage.partial import whole_file
from throughline.tracker.identities.cells import text_cell
from throughline.tracker.identities.descriptors import Described
from throughline.tracker.identities.footage import Footage
from throughline.tracker.identities.layout import VideoFolder

_COLUMNS = (
    "video",
    "track_id",
    "class",
    "first_frame",
    "last_frame",
    "first_ns",
    "last_ns",
    "boxes",
    "samples",
    "mean_quality",
)


def write_meta(path: Path, video: VideoFolder, footage: Footage, described: Described) -> None:
    """Write the table, a line a track; it appears whole or not at all."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(_lines(video, footage, described))


def _lines(video: VideoFolder, footage: Footage, described: Described) -> Iterator[tuple[object, ...]]:
    rows, times = footage.rows, footage.times_ns
    numbers, firsts, counts = np.unique(rows.track_ids, return_index=True, return_counts=True)
    known = np.isin(described.sample_tracks, numbers)
    place = np.searchsorted(numbers, described.sample_tracks[known])
    samples = np.bincount(place, minlength=len(numbers)).tolist()
    sums = np.bincount(place, described.sample_qualities[known], len(numbers)).tolist()
    columns = (numbers.tolist(), firsts.tolist(), counts.tolist(), samples, sums)
    for number, first, count, crops, quality in zip(*columns, strict=True):
        last = first + count - 1
        moments = (rows.frames[first], rows.frames[last], times[first], times[last])
        mean = f"{quality / crops:.3f}" if crops else ""
        yield text_cell(video.name), number, text_cell(rows.classes[first]), *moments, count, crops, mean
