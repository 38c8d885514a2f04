"""What each video's own folder gets: its boxes with identities, and a summary."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.tracker.identities.cells import text_cell
from throughline.tracker.identities.footage import Footage
from throughline.tracker.identities.layout import SUMMARY_GLOBAL_FILE, TRACKS_GLOBAL_FILE
from throughline.tracker.identities.outputs import Outcome

_COLUMNS = ("frame", "time_ns", "track_id", "global_id", "class", "score", "left", "top", "right", "bottom")


def write_video(folder: Path, name: str, footage: Footage, found: Outcome) -> None:
    """Write tracks_global.csv and summary_global.json of one video into a folder. Boxes of classes that were left out have no identity."""
    folder.mkdir()
    tracks = found.tracks
    place = next(at for at, video in enumerate(tracks.videos) if video.name == name)
    own = np.flatnonzero(tracks.video == place)
    id_of = dict(zip(tracks.numbers[own].tolist(), found.ids[own].tolist(), strict=True))
    _write_boxes(folder / TRACKS_GLOBAL_FILE, footage, id_of)
    elsewhere = set(found.ids[tracks.video != place].tolist())
    ids = set(id_of.values())
    classes = Counter(tracks.class_names[each] for each in tracks.classes[own].tolist())
    unique = Counter(
        name for name, _ in {(tracks.class_names[tracks.classes[row]], int(found.ids[row])) for row in own.tolist()}
    )
    summary = {
        "video": name,
        "camera": tracks.videos[place].camera,
        "num_tracks": len(own),
        "num_globals": len(ids),
        "tracks_by_class": dict(sorted(classes.items())),
        "unique_by_class": dict(sorted(unique.items())),
        "globals_also_elsewhere": sorted(ids & elsewhere),
        "global_ids": sorted(ids),
    }
    (folder / SUMMARY_GLOBAL_FILE).write_text(
        json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _write_boxes(path: Path, footage: Footage, id_of: Mapping[int, int]) -> None:
    rows = footage.rows
    order: NDArray[np.int64] = np.lexsort((rows.track_ids, rows.frames))
    columns = (rows.frames[order].tolist(), footage.times_ns[order].tolist(), rows.track_ids[order].tolist())
    boxes, scores = rows.boxes[order].tolist(), rows.scores[order].tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for at, frame, time, number, box, score in zip(order.tolist(), *columns, boxes, scores, strict=True):
            edges = [f"{edge:.2f}" for edge in box]
            writer.writerow(
                [frame, time, number, id_of.get(number, ""), text_cell(rows.classes[at]), f"{score:.4f}", *edges]
            )
