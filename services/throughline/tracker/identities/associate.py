"""From tracks with descriptors to identities: similarity, neighbours, constraints, clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.calibration import Calibration
from throughline.domain.errors import FailedPrecondition
from throughline.domain.work import Work
from throughline.tracker.identities.cluster import Edges, agglomerate
from throughline.tracker.identities.config import Associate
from throughline.tracker.identities.constraints import Constraints, Rules
from throughline.tracker.identities.graph import Recall, neighbours
from throughline.tracker.identities.tracks import Tracks

_ENOUGH = 100
"""From so many tracks on, what they have in common is not the people's."""
_STEPS = 8
_UNIT = "tracks compared"


@dataclass(frozen=True)
class Identities:
    """The outcome. clusters: (n,) from 0; vectors: (n, d) float32 as they were compared; likeness: (n,) mean cosine of each track
    with the others of its cluster, NaN where it is alone; least_cosine: what `min_sim` came to; known_different: share of tracks
    that are in view together, so of different people, whose cosine reaches that, NaN where there are none.
    """

    clusters: NDArray[np.int64]
    vectors: NDArray[np.float32]
    likeness: NDArray[np.float64]
    least_cosine: float
    is_calibrated: bool
    shift_removed: bool
    recall: Recall
    known_different: float


def associate(
    tracks: Tracks, settings: Associate, rules: Rules, calibration: Calibration | None, work: Work
) -> Identities:
    """One cluster for all tracks of a person. `calibration`: of the model.

    Raises FailedPrecondition where the settings ask for one and there is none.
    """
    least, is_calibrated = least_cosine(settings, calibration)
    vectors = tracks.vectors
    shift_removed = settings.remove_camera_shift and int(tracks.embedded.sum()) >= _ENOUGH
    if shift_removed:
        vectors = _shifted(tracks, keep_common=is_calibrated)
    constraints = Constraints(tracks, rules)
    edges, recall = _edges(tracks, vectors, settings, rules, work)
    clusters = agglomerate(vectors, edges, least, constraints.apart, work.check)
    return Identities(
        clusters=clusters,
        vectors=vectors,
        likeness=_likeness(vectors, clusters),
        least_cosine=least,
        is_calibrated=is_calibrated,
        shift_removed=shift_removed,
        recall=recall,
        known_different=_known_different(constraints, vectors, least),
    )


def least_cosine(settings: Associate, calibration: Calibration | None) -> tuple[float, bool]:
    """The cosine that `min_sim` stands for, and whether it is a calibrated similarity."""
    if settings.scale == "cosine" or (settings.scale == "auto" and calibration is None):
        return settings.min_sim, False
    if calibration is None:
        raise FailedPrecondition(
            "associate.scale is calibrated, and the model has no calibration; run `throughline models calibrate`, or set it to cosine"
        )
    return float(np.interp(settings.min_sim, calibration.knots_probability, calibration.knots_cosine)), True


def _camera_of(tracks: Tracks) -> NDArray[np.int64]:
    """(n,) number of each track's camera."""
    _, place = np.unique([video.camera for video in tracks.videos], return_inverse=True)
    return np.asarray(place, np.int64)[tracks.video]


def _shifted(tracks: Tracks, *, keep_common: bool) -> NDArray[np.float32]:
    """Unit vectors without the mean of their camera, or of all where the camera has few tracks; with `keep_common` the mean of all is
    put back, so that cosines keep their size."""
    camera, rows = _camera_of(tracks), np.flatnonzero(tracks.embedded)
    vectors = tracks.vectors.copy()
    common = vectors[rows].mean(axis=0)
    for each in np.unique(camera[rows]):
        own = rows[camera[rows] == each]
        shift = vectors[own].mean(axis=0) if len(own) >= _ENOUGH else common
        vectors[own] -= shift - common if keep_common else shift
    lengths = np.linalg.norm(vectors[rows], axis=1, keepdims=True)
    vectors[rows] = np.divide(vectors[rows], lengths, out=np.zeros_like(vectors[rows]), where=lengths > 1e-6)
    return vectors


def _edges(
    tracks: Tracks, vectors: NDArray[np.float32], settings: Associate, rules: Rules, work: Work
) -> tuple[Edges, Recall]:
    """Neighbours, class by class where classes never mix."""
    embedded = np.flatnonzero(tracks.embedded)
    groups = [embedded]
    if rules.same_class_only:
        groups = [embedded[tracks.classes[embedded] == each] for each in np.unique(tracks.classes[embedded])]
    parts, recalls = [], []
    done = 0
    for rows in groups:
        offset = done

        def on_step(count: int, offset: int = offset) -> None:
            work.report(offset + count, len(embedded), _UNIT)

        edges, recall = neighbours(vectors[rows] if len(rows) < len(vectors) else vectors, settings.neighbours, on_step)
        parts.append(Edges(rows[edges.a].astype(np.int32), rows[edges.b].astype(np.int32), edges.cosines))
        recalls.append(recall)
        done += len(rows)
    empty = np.zeros(0, np.int32)
    all_edges = Edges(
        np.concatenate([empty, *(part.a for part in parts)]),
        np.concatenate([empty, *(part.b for part in parts)]),
        np.concatenate([np.zeros(0, np.float32), *(part.cosines for part in parts)]),
    )
    return all_edges, min(recalls, key=lambda each: each.found, default=Recall("flat", 1.0, 0))


def _likeness(vectors: NDArray[np.float32], clusters: NDArray[np.int64]) -> NDArray[np.float64]:
    sizes = np.bincount(clusters)
    sums = np.zeros((len(sizes), vectors.shape[1]), np.float32)
    np.add.at(sums, clusters, vectors)
    own = np.einsum("ij,ij->i", vectors, vectors)
    with_all = np.einsum("ij,ij->i", vectors, sums[clusters])
    others = sizes[clusters] - 1
    return np.divide(with_all - own, others, out=np.full(len(clusters), np.nan), where=others > 0)


def _known_different(constraints: Constraints, vectors: NDArray[np.float32], least: float) -> float:
    """By pairs of tracks that follow each other closely in one video: those that share time are of different people."""
    tracks = constraints.tracks
    order = np.lexsort((tracks.starts_ns, tracks.video))
    embedded = tracks.embedded
    limit = constraints.rules.most_overlap_ns
    reaching = total = 0
    for step in range(1, _STEPS):
        a, b = order[:-step], order[step:]
        shared = np.minimum(tracks.ends_ns[a], tracks.ends_ns[b]) - np.maximum(tracks.starts_ns[a], tracks.starts_ns[b])
        at = (tracks.video[a] == tracks.video[b]) & (shared > limit) & embedded[a] & embedded[b]
        cosines = np.einsum("ij,ij->i", vectors[a[at]], vectors[b[at]])
        reaching += int((cosines >= least).sum())
        total += len(cosines)
    return reaching / total if total else float("nan")
