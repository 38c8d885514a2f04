"""What identities are written as, for people and for other tools."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughline.domain.time import NS_PER_SECOND
from throughline.domain.work import Incident
from throughline.perception.triton.card import ModelCard
from throughline.tracker.identities.associate import Identities
from throughline.tracker.identities.cells import text_cell
from throughline.tracker.identities.config import ReidConfig
from throughline.tracker.identities.flows import Flow, flows, sankey
from throughline.tracker.identities.layout import FLOWS_CSV, FLOWS_JSON, MAP_FILE, MERGED_FILE
from throughline.tracker.identities.tracks import Tracks

MAP_COLUMNS = ("video", "track_id", "global_id", "camera", "class", "first_ns", "last_ns", "boxes", "similarity")


@dataclass(frozen=True)
class Made:
    """What identities were made by: settings, model, and what there is to say."""

    config: ReidConfig
    card: ModelCard
    incidents: tuple[Incident, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Why videos were left out, by their names."""


@dataclass(frozen=True)
class Outcome:
    """All that came out. ids: (n,) identity of each track, from 1; similarity: (n,) with the others of its identity, NaN where it
    is alone."""

    tracks: Tracks
    identities: Identities
    ids: NDArray[np.int64]
    similarity: NDArray[np.float64]
    flows: list[Flow]
    made: Made

    @property
    def unique_by_class(self) -> dict[str, int]:
        """How many identities each class has; one of several classes counts in each."""
        pairs = np.unique(np.stack([self.tracks.classes.astype(np.int64), self.ids]), axis=1)
        counts = np.bincount(pairs[0], minlength=len(self.tracks.class_names))
        return dict(zip(self.tracks.class_names, counts.tolist(), strict=True))

    @property
    def identity_count(self) -> int:
        return len(np.unique(self.ids))


def outcome(tracks: Tracks, identities: Identities, ids: NDArray[np.int64], made: Made) -> Outcome:
    """Put together what is written."""
    likeness, calibration = identities.likeness, made.card.calibration
    if identities.is_calibrated and calibration is not None:
        likeness = np.where(np.isnan(likeness), np.nan, calibration.apply(likeness))
    ways = flows(tracks, ids, np.nan_to_num(likeness))
    return Outcome(tracks, identities, ids, likeness, ways, made)


def write_outcome(folder: Path, found: Outcome) -> None:
    """Write map, analytics and flows into a folder."""
    _write_map(folder / MAP_FILE, found)
    (folder / MERGED_FILE).write_text(
        json.dumps(analytics(found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    lines = [
        (
            text_cell(flow.start),
            text_cell(flow.end),
            flow.count,
            f"{flow.median_ns / NS_PER_SECOND:.3f}",
            f"{flow.confidence:.4f}",
        )
        for flow in found.flows
    ]
    _write_csv(folder / FLOWS_CSV, ("from", "to", "count", "median_transit_seconds", "confidence"), lines)
    (folder / FLOWS_JSON).write_text(
        json.dumps(sankey(found.flows), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def analytics(found: Outcome) -> dict[str, Any]:
    """The content of merged_analytics.json."""
    tracks, identities, associate = found.tracks, found.identities, found.made.config.associate
    names = [video.name for video in tracks.videos]
    by_class = np.bincount(tracks.classes, minlength=len(tracks.class_names)).tolist()
    by_video = np.bincount(tracks.video, minlength=len(names)).tolist()
    _, sizes = np.unique(found.ids, return_counts=True)
    return {
        "num_globals": found.identity_count,
        "num_tracks": len(tracks),
        "num_videos": len(names),
        "skipped": dict(found.made.skipped),
        "unique_by_class": found.unique_by_class,
        "tracks_by_class": dict(zip(tracks.class_names, by_class, strict=True)),
        "tracks_by_video": dict(zip(names, by_video, strict=True)),
        "globals_by_video": dict(Counter(names[place] for place, _ in _distinct(tracks.video, found.ids))),
        "globals_in_several_videos": _in_several(tracks.video, found.ids),
        "globals_in_several_cameras": _in_several(_cameras(tracks), found.ids),
        "globals_of_one_track": int((sizes == 1).sum()),
        "most_tracks_of_a_global": int(sizes.max(initial=0)),
        "tracks_without_crops": int((~tracks.embedded).sum()),
        "flows": sum(flow.count for flow in found.flows),
        "similarity": {
            "min_sim": associate.min_sim,
            "scale": "calibrated" if identities.is_calibrated else "cosine",
            "least_cosine": round(identities.least_cosine, 6),
            "camera_shift_removed": identities.shift_removed,
            "known_different_reaching_it": _or_none(identities.known_different),
        },
        "neighbours": {
            "index": identities.recall.index,
            "recall": round(identities.recall.found, 4),
            "sampled": identities.recall.sampled,
        },
        "backbone": {"name": found.made.card.name, "digest": found.made.card.digest},
        "incidents": [
            {"code": each.code, "subject": each.subject, "message": each.message} for each in found.made.incidents
        ],
    }


def _distinct(places: NDArray[Any], ids: NDArray[np.int64]) -> list[tuple[int, int]]:
    pairs = np.unique(np.stack([places.astype(np.int64), ids]), axis=1)
    return list(zip(pairs[0].tolist(), pairs[1].tolist(), strict=True))


def _in_several(places: NDArray[Any], ids: NDArray[np.int64]) -> int:
    counts = Counter(number for _, number in _distinct(places, ids))
    return sum(count > 1 for count in counts.values())


def _cameras(tracks: Tracks) -> NDArray[Any]:
    _, place = np.unique([video.camera for video in tracks.videos], return_inverse=True)
    return np.asarray(place)[tracks.video]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)


def _write_map(path: Path, found: Outcome) -> None:
    tracks = found.tracks
    columns = (tracks.starts_ns, tracks.ends_ns, tracks.box_counts)
    starts, ends, counts = (column.tolist() for column in columns)
    similar = ["" if np.isnan(value) else f"{value:.4f}" for value in found.similarity.tolist()]
    lines = (
        (text_cell(name), number, identity, text_cell(camera), text_cell(tracks.class_names[place]), *rest)
        for (name, number), identity, camera, place, *rest in zip(
            tracks.keys,
            found.ids.tolist(),
            tracks.cameras,
            tracks.classes.tolist(),
            starts,
            ends,
            counts,
            similar,
            strict=True,
        )
    )
    _write_csv(path, MAP_COLUMNS, lines)


def _write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(lines)
