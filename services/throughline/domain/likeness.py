"""How alike two tracks are by the sets of their crops, seen against everyone else before the same camera. NumPy only.

A descriptor holds more than its person: the light, the height and the colours of the camera. What all of a camera's tracks have in
common is therefore taken off every crop. What remains is compared twice: as weighted means, and crop by crop, each with
the one of the other track that is most like it, for people look different from each side. The likeness is the mean of the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from throughline.domain.calibration import Calibration, Floats
from throughline.domain.errors import InvalidInput
from throughline.domain.tracks import TrackEmbeddings, concatenated

SETS = "sets 2"
"""Name of this likeness; another one when the same crops would give another number. Calibrations say which one they are for."""
SAME_LOOKS = 0.95
"""Probability at which tracks of one camera count as one person's in its mean look."""
_KNOWN_BEFORE = 4.0
"""People whose weight the model's own mean look has in a camera's."""
_TAKEN_OFF = 0.9
_COSINES_AT_ONCE = 2**22
"""Cosines of a person's crops with others' that are in memory at a time: many were confirmed, and cameras have many tracks."""
_MOST_TRACKS = 2_000
"""Of a camera's tracks so many at most make its mean look, evenly chosen."""
_TRACKS_AT_ONCE = 64
"""Tracks that are compared with all others in one product."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Matching:
    """What turns the crops of two tracks into P(same person). `likeness` names what is calibrated; `mean_look`: (d,) the mean
    descriptor over the cameras that it was fitted on; it stands for a camera of which little is known."""

    likeness: str
    mean_look: tuple[float, ...]
    calibration: Calibration

    def __post_init__(self) -> None:
        if not self.mean_look or not np.isfinite(self.mean_look).all():
            raise InvalidInput("a mean look must be one or more finite numbers")


def mean_look(descriptors: Vectors, known: Vectors, same_cosine: float) -> Vectors:
    """(d,) what the tracks of a camera have in common, from (t, d) descriptors.

    Whoever has many tracks counts once: each has a share of one by how many of the camera's reach `same_cosine` with it. `known`
    ((d,), the model's mean look) weighs as much as four people.
    """
    step = max(1, -(-len(descriptors) // _MOST_TRACKS))
    some = np.asarray(descriptors[::step], np.float32)
    weights = 1 / np.maximum((some @ some.T >= same_cosine).sum(axis=1), 1)
    weighted = (weights[:, None] * some).sum(axis=0) + _KNOWN_BEFORE * known
    return np.asarray(weighted / (weights.sum() + _KNOWN_BEFORE), np.float32)


def without(vectors: Vectors, look: Vectors) -> Vectors:
    """(m, d) unit vectors with a mean look, or (m, d) of each its own, taken off, unit vectors again."""
    rest = np.asarray(vectors - np.float32(_TAKEN_OFF) * look, np.float32)
    norms = np.sqrt(np.einsum("md,md->m", rest, rest))  # by np.linalg.norm three more copies of everything
    rest /= np.maximum(norms, np.float32(1e-9))[:, None]
    return rest


def all_likenesses(cameras: Sequence[TrackEmbeddings], known: Vectors, same_cosine: float) -> Floats:
    """(t, t) likeness of all tracks of all cameras with each other: by camera, and in each by rising id."""
    rest, before = [], 0
    for each in cameras:
        ids, places = np.unique(each.track_ids, return_inverse=True)
        vectors = without(each.vectors, mean_look(each.descriptors()[1], known, same_cosine))
        rest.append(replace(each, vectors=vectors, track_ids=places + before))
        before += len(ids)
    return among(concatenated(rest))


def among(tracks: TrackEmbeddings) -> Floats:
    """(t, t) likeness of all with each other, by rising id; mean looks are taken off already."""
    ids, starts = np.unique(tracks.track_ids, return_index=True)
    if not len(ids):
        return np.zeros((0, 0))
    weights, bounds = tracks.weights[:, None], np.append(starts, len(tracks.weights))
    shares = weights / np.repeat(np.add.reduceat(weights, starts), np.diff(bounds), axis=0)
    forth = np.empty((len(ids), len(ids)))
    for first in range(0, len(ids), _TRACKS_AT_ONCE):
        after = min(first + _TRACKS_AT_ONCE, len(ids))
        rows = slice(bounds[first], bounds[after])
        closest = np.maximum.reduceat(np.clip(tracks.vectors[rows] @ tracks.vectors.T, -1, 1), starts, axis=1)
        forth[first:after] = np.add.reduceat(closest * shares[rows], starts[first:after] - starts[first], axis=0)
    means = tracks.means()[1]
    alike = np.clip(means @ means.T, -1, 1)
    return np.asarray((alike + (forth + forth.T) / 2) / 2, np.float64)


def likenesses(one: TrackEmbeddings, others: TrackEmbeddings) -> Floats:
    """(t,) likeness, -1..1, of the person of `one`, each of whose tracks counts as much, with each of `others`, by rising id.

    Mean looks are taken off already.
    """
    if not len(others.track_ids):
        return np.zeros(0)
    starts = np.unique(others.track_ids, return_index=True)[1]
    weights = np.asarray(others.weights, np.float64)
    matches = np.concatenate(
        [
            _best_matches(one, others.vectors[rows], weights[rows], firsts)
            for rows, firsts in _blocks(one, others, starts)
        ]
    )
    own = one.means()[1].sum(axis=0)
    means = others.means()[1] @ (own / max(float(np.linalg.norm(own)), 1e-9))
    return np.asarray((np.clip(means, -1, 1) + matches) / 2, np.float64)


def _blocks(
    one: TrackEmbeddings, others: TrackEmbeddings, starts: NDArray[np.int64]
) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Rows of `others` that hold whole tracks, few enough to be compared with all of `one` at once, and where these begin in them."""
    edges, first = np.append(starts, len(others.track_ids)), 0
    most = _COSINES_AT_ONCE // max(1, len(one.track_ids))
    while first < len(starts):
        after = max(first + 1, int(np.searchsorted(edges, edges[first] + most, side="right")) - 1)
        yield slice(int(edges[first]), int(edges[after])), starts[first:after] - edges[first]
        first = after


def _best_matches(one: TrackEmbeddings, vectors: Vectors, weights: Floats, starts: NDArray[np.int64]) -> Floats:
    """(t,) mean cosine of each crop with the one of the other side that is most like it, weighted, both ways; `starts`:
    where the tracks of (m, d) vectors begin."""
    cosines = np.clip(one.vectors @ vectors.T, -1, 1).astype(np.float64)
    forth = np.average(np.maximum.reduceat(cosines, starts, axis=1), axis=0, weights=one.weights)
    back = np.add.reduceat(cosines.max(axis=0) * weights, starts) / np.add.reduceat(weights, starts)
    return np.asarray((forth + back) / 2, np.float64)
