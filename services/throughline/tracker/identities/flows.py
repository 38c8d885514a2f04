"""How people went from camera to camera: counts, transit times, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.time import NS_PER_SECOND
from throughline.tracker.identities.tracks import Tracks


@dataclass(frozen=True, slots=True)
class Flow:
    """People who were seen by one camera and by another next. `confidence`: mean similarity of the two tracks, 0..1;
    median_ns: from the end of the one track to the start of the other, 0 where they overlap."""

    start: str
    end: str
    count: int
    median_ns: int
    confidence: float


def flows(tracks: Tracks, ids: NDArray[np.int64], similarity: NDArray[np.float64]) -> list[Flow]:
    """Every way that was taken, the busiest first. ids: (n,) identities; similarity: (n,) of each track with the others of its identity.

    A sighting that lies within another one of the same identity is no way: who is seen by a second camera meanwhile has not left the
    first. Videos whose start is not known are left out, unless that holds for all: then all are taken to begin at the same moment.
    """
    timed = np.array([video.is_timed for video in tracks.videos], bool)
    usable = timed[tracks.video] if timed.any() else np.ones(len(tracks), bool)
    rows = np.flatnonzero(usable)
    rows = rows[np.lexsort((-tracks.ends_ns[rows], tracks.starts_ns[rows], ids[rows]))]
    rows = rows[_lasting(ids[rows], tracks.ends_ns[rows])]
    names, place = np.unique([video.camera for video in tracks.videos], return_inverse=True)
    camera = np.asarray(place)[tracks.video[rows]]
    went = np.flatnonzero((ids[rows][1:] == ids[rows][:-1]) & (camera[1:] != camera[:-1]))
    before, after = rows[went], rows[went + 1]
    gaps = np.maximum(0, tracks.starts_ns[after] - tracks.ends_ns[before])
    sure = np.clip(np.minimum(similarity[before], similarity[after]), 0, 1)
    ways = camera[went] * len(names) + camera[went + 1]
    found = []
    for way in np.unique(ways).tolist():
        at = ways == way
        start, end = divmod(way, len(names))
        found.append(
            Flow(str(names[start]), str(names[end]), int(at.sum()), int(np.median(gaps[at])), float(sure[at].mean()))
        )
    return sorted(found, key=lambda flow: (-flow.count, flow.start, flow.end))


def _lasting(ids: NDArray[np.int64], ends_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,): which sightings last longer than all before them of the same identity; rows by identity and start."""
    _, identity = np.unique(ids, return_inverse=True)
    moments, moment = np.unique(ends_ns, return_inverse=True)
    latest = identity * len(moments) + moment  # grows with the identity, so that none is compared with another's
    return np.concatenate([np.ones(min(1, len(ids)), bool), latest[1:] > np.maximum.accumulate(latest)[:-1]])


def sankey(found: list[Flow]) -> dict[str, object]:
    """Nodes and links as Sankey libraries take them: every camera once as a start and once as an end, so that no link leads back."""
    starts = sorted({flow.start for flow in found})
    ends = sorted({flow.end for flow in found})
    place = {("start", name): number for number, name in enumerate(starts)}
    place |= {("end", name): len(starts) + number for number, name in enumerate(ends)}
    return {
        "nodes": [{"name": name, "side": side} for side, name in place],
        "links": [
            {
                "source": place["start", flow.start],
                "target": place["end", flow.end],
                "value": flow.count,
                "median_transit_seconds": round(flow.median_ns / NS_PER_SECOND, 3),
                "confidence": round(flow.confidence, 4),
            }
            for flow in found
        ],
    }
