"""How well a ReID model tells people apart: rank-1 and mean average precision across cameras, of single crops and of sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from throughline.domain.calibration import Calibration
from throughline.domain.likeness import SAME_LOOKS, all_likenesses
from throughline.domain.rerank import reranked
from throughline.domain.tracks import TrackEmbeddings

SET_SIZES = (2, 4, 6)
DRAWS = 5
_EVEN_CROPS = 6
_ALONE = 1.01
"""A cosine that nothing reaches: every set counts as another person's in its camera's mean look."""

Figures = dict[str, dict[str, float]]
"""By what was compared: rank-1 and mAP."""


@dataclass(frozen=True)
class DescribedSet:
    """A set of crops. vectors: (m, d) float32, unit length."""

    person: str
    camera: str
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """What the served model knows: its mean look and calibration of cosines, None where it has none."""

    mean_look: NDArray[np.float32] | None
    cosines: Calibration | None


def of_pictures(sets: Sequence[DescribedSet], known: Known, seed: int = 0) -> Figures:
    """Single crops, each of which queries all of the other cameras; then sets of a few, drawn at random for each person and camera,
    each of which queries all sets of the other cameras: means over `DRAWS` draws."""
    singles = [replace(each, vectors=vector[None]) for each in sets for vector in each.vectors]
    cosines = _cosines(singles)
    figures = {
        "single crops": ranked(cosines, singles),
        "single crops, re-ranked": ranked(reranked(cosines), singles),
    }
    rng = np.random.default_rng(seed)
    for size in SET_SIZES:
        drawn = [list(_drawn(sets, size, rng)) for _ in range(DRAWS)]
        found = [_of_sets(each, f"sets of {size}: ", known) for each in drawn]
        for name in found[0]:
            figures[name] = {key: float(np.mean([each[name][key] for each in found])) for key in found[0][name]}
    return figures


def of_tracklets(sets: Sequence[DescribedSet], known: Known) -> Figures:
    """Tracklets, each of which queries all of the other cameras."""
    even = [replace(each, vectors=each.vectors[_evenly(len(each.vectors))]) for each in sets]
    name = f"tracklets: mean of {_EVEN_CROPS} even crops"
    return {name: ranked(_cosines(even), even), **_of_sets(sets, "tracklets: ", known)}


def _of_sets(sets: Sequence[DescribedSet], prefix: str, known: Known) -> Figures:
    sets = sorted(sets, key=lambda each: each.camera)
    likenesses = _likenesses(sets, known)
    found = {
        "mean of the crops": _cosines(sets),
        "likeness": likenesses,
        "likeness, re-ranked": reranked(likenesses),
    }
    return {prefix + name: ranked(values, sets) for name, values in found.items()}


def _drawn(sets: Sequence[DescribedSet], size: int, rng: np.random.Generator) -> Iterator[DescribedSet]:
    for each in sets:
        yield replace(each, vectors=each.vectors[rng.permutation(len(each.vectors))[:size]])


def _evenly(count: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, count - 1, min(_EVEN_CROPS, count)).round().astype(np.intp))


def _cosines(sets: Sequence[DescribedSet]) -> NDArray[np.float64]:
    means = np.stack([each.vectors.mean(axis=0) for each in sets]).astype(np.float64)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    return np.asarray(means @ means.T)


def _likenesses(sets: Sequence[DescribedSet], known: Known) -> NDArray[np.float64]:
    """As tracks are compared; `sets` in order of camera. A model without a mean look is given that of the sets."""
    look = known.mean_look
    if look is None:
        look = np.mean([each.vectors.mean(axis=0) for each in sets], axis=0)
    same = _ALONE if known.cosines is None else known.cosines.inverse(SAME_LOOKS)
    cameras = sorted({each.camera for each in sets})
    tables = [_as_tracks([each for each in sets if each.camera == camera]) for camera in cameras]
    return all_likenesses(tables, np.asarray(look, np.float32), same)


def _as_tracks(sets: Sequence[DescribedSet]) -> TrackEmbeddings:
    ids = np.repeat(np.arange(len(sets)), [len(each.vectors) for each in sets])
    vectors = np.concatenate([each.vectors for each in sets])
    n = len(ids)
    return TrackEmbeddings(
        vectors, ids, np.zeros(n, np.int64), qualities=np.ones(n, np.float32), clear=np.ones(n, bool), crops=()
    )


def ranked(values: NDArray[np.floating], sets: Sequence[DescribedSet]) -> dict[str, float]:
    """Every set queries those of other cameras by (n, n) values; queries without a right answer do not count."""
    people = np.array([each.person for each in sets])
    cameras = np.array([each.camera for each in sets])
    hits, precisions = [], []
    for row in range(len(sets)):
        others = np.flatnonzero(cameras != cameras[row])
        right = (people[others] == people[row])[np.argsort(-values[row, others], kind="stable")]
        if right.any():
            hits.append(right[0])
            precisions.append(average_precision(right))
    return {"rank-1": float(np.mean(hits)), "mAP": float(np.mean(precisions)), "queries": float(len(hits))}


def average_precision(right: NDArray[np.bool_]) -> float:
    """Of a ranking in which (n,) are right, one or more of them."""
    places = np.flatnonzero(right) + 1
    return float(np.mean(np.arange(1, len(places) + 1) / places))
