"""The nearest neighbours of every track, by FAISS: exactly below a size, from there on by an index whose recall is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from throughline.tracker.identities.cluster import Edges

Vectors = NDArray[np.float32]
Found = tuple[NDArray[np.float32], NDArray[np.int64]]

EXACT_BELOW = 150_000
"""Up to here comparing everything with everything costs less than an index of the same recall; docs/decisions/0037 has the figures."""
LEAST_RECALL = 0.98
_SAMPLE = 256
_BLOCK = 2_048
_PER_LIST = 400
_TRAINING = 65_536
_EFFORTS = ((0.125, 20), (0.25, 60), (0.375, 150), (0.5, 300), (0.625, 350), (1.0, 400))
"""Share of the lists that are looked through, and how many times more candidates than neighbours are compared exactly."""


@dataclass(frozen=True, slots=True)
class Recall:
    """How much of the exact nearest neighbours was found: the share of those of `sampled` tracks; 1 where all were compared."""

    index: str
    found: float
    sampled: int


class TrackIndex:
    """The nearest of many unit vectors to any others."""

    def __init__(self, vectors: Vectors, neighbours: int, exact_below: int = EXACT_BELOW) -> None:
        """vectors: (n, d). Takes as much effort as finds `LEAST_RECALL` of the `neighbours` nearest, measured by sampling."""
        vectors = np.ascontiguousarray(vectors)
        count, dimension = vectors.shape
        if count < exact_below:
            self._index: Any = faiss.IndexFlatIP(dimension)
            self._index.add(vectors)
            self.recall = Recall("flat", 1.0, count)
            return
        lists = max(1, count // _PER_LIST)
        parts = dimension // 2 if dimension % 2 == 0 else dimension
        kind = f"IVF{lists},PQ{parts}x4fs,Refine(SQfp16)"
        self._index = faiss.index_factory(dimension, kind, faiss.METRIC_INNER_PRODUCT)
        rows = np.random.default_rng(0).permutation(count)
        self._index.train(vectors[np.sort(rows[: max(_TRAINING, 40 * lists)])])
        self._index.add(vectors)
        self.recall = self._tuned(vectors, np.sort(rows[:_SAMPLE]), kind, neighbours)

    def search(self, queries: Vectors, count: int) -> Found:
        """(m, count) cosines and rows of the nearest to (m, d) unit vectors, the nearest first; row -1 where there are no more."""
        cosines, rows = self._index.search(np.ascontiguousarray(queries), count)
        return cosines, rows

    def _tuned(self, vectors: Vectors, sample: NDArray[np.int64], kind: str, neighbours: int) -> Recall:
        exact = _exact(vectors, sample, neighbours)
        lists = faiss.extract_index_ivf(self._index.base_index)
        found = 0.0
        for share, factor in _EFFORTS:
            lists.nprobe = max(1, round(share * lists.nlist))
            self._index.k_factor = factor
            _, rows = self.search(vectors[sample], neighbours)
            found = float(
                np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(exact.tolist(), rows.tolist(), strict=True)])
            )
            if found >= LEAST_RECALL:
                break
        return Recall(kind, found, len(sample))


def _exact(vectors: Vectors, sample: NDArray[np.int64], neighbours: int) -> NDArray[np.int64]:
    """(m, k) rows of the exact nearest of some rows."""
    k = min(neighbours, len(vectors))
    found: Found = faiss.knn(vectors[sample], vectors, k, faiss.METRIC_INNER_PRODUCT)
    return found[1]


def _ignore(_: int) -> None:
    return None


def neighbours(
    vectors: Vectors, count: int, on_step: Callable[[int], None] = _ignore, exact_below: int = EXACT_BELOW
) -> tuple[Edges, Recall]:
    """Each of (n, d) unit vectors with its `count` nearest others, every pair once, and how many of these were found.

    `on_step` hears how many are done; what it raises ends the work.
    """
    if len(vectors) < 2:
        none = np.zeros(0, np.int32)
        return Edges(none, none, np.zeros(0, np.float32)), Recall("flat", 1.0, len(vectors))
    index = TrackIndex(vectors, count + 1, exact_below)
    parts = list(_pairs(index, vectors, min(count + 1, len(vectors)), on_step))
    a, b, cosines = (np.concatenate(column) for column in zip(*parts, strict=True))
    low, high = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((high, low))
    low, high, cosines = low[order], high[order], cosines[order]
    first = np.ones(len(low), bool)
    first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return Edges(low[first], high[first], cosines[first]), index.recall


def _pairs(
    index: TrackIndex, vectors: Vectors, count: int, on_step: Callable[[int], None]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]]:
    for start in range(0, len(vectors), _BLOCK):
        cosines, rows = index.search(vectors[start : start + _BLOCK], count)
        own = np.repeat(np.arange(start, start + len(rows), dtype=np.int32), count)
        other = rows.ravel().astype(np.int32)
        kept = (other >= 0) & (other != own)
        yield own[kept], other[kept], cosines.ravel()[kept]
        on_step(min(start + _BLOCK, len(vectors)))
