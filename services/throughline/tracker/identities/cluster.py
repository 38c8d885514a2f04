"""Constrained agglomeration over a graph of neighbours: average linkage, and no forbidden pair ever in one cluster."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.storage.object_store import go_on

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

_CHUNK = 65_536
_CHECK_EVERY = 1_000


@dataclass(frozen=True)
class Edges:
    """Pairs of neighbours. a, b: (m,) int32 rows, a < b, each pair once; cosines: (m,) float32."""

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    cosines: NDArray[np.float32]


def agglomerate(
    vectors: Vectors,
    edges: Edges,
    least: float,
    apart: Callable[[Rows, Rows], bool],
    check: Callable[[], None] = go_on,
) -> NDArray[np.int64]:
    """(n,) clusters of (n, d) unit vectors, numbered from 0 by their first rows.

    Always the two closest clusters become one: those with the highest mean cosine over all pairs between them, as long as that is at
    least `least`, some pair of them is an edge, and `apart` does not forbid it. The mean is exact: it is the product of the clusters'
    sums over the product of their sizes. Pairs as close as each other are taken in order of rows. `check` is called every so often.
    """
    clusters = _Clusters(vectors, edges)
    for looked_at, (a, b) in enumerate(clusters.closest(least)):
        if looked_at % _CHECK_EVERY == 0:
            check()
        if not apart(clusters.members[a], clusters.members[b]):
            clusters.merge(a, b, least)
    return _numbered(clusters.root)


def _numbered(roots: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first, numbers = np.unique(roots, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first, kind="stable"), kind="stable")
    return order[numbers]


class _Clusters:
    """The clusters as they grow. Each is known by its lowest row; its version counts how often it has grown.

    root: (n,) cluster of each row; members: rows of each cluster.
    """

    def __init__(self, vectors: Vectors, edges: Edges) -> None:
        count = len(vectors)
        self.root = np.arange(count, dtype=np.int64)
        self.members: list[Rows] = list(np.arange(count, dtype=np.int64)[:, None])
        self._sums = vectors.copy()
        self._sizes = np.ones(count, np.float32)
        self._versions = [0] * count
        self._near = _adjacency(edges, count)
        self._edges = edges
        self._heap: list[tuple[float, int, int, int, int]] = []

    def closest(self, least: float) -> Iterator[tuple[int, int]]:
        """Pairs of clusters, the closest first, while they change: those that `merge` makes are among those to come."""
        first = self._first_pairs(least)
        coming = next(first, None)
        while coming is not None or self._heap:
            if coming is not None and (not self._heap or coming <= self._heap[0][:3]):
                _, a, b = coming
                coming = next(first, None)
                if not self._versions[a] and not self._versions[b]:
                    yield a, b
            else:
                _, a, b, version_a, version_b = heapq.heappop(self._heap)
                if self._versions[a] == version_a and self._versions[b] == version_b:
                    yield a, b

    def merge(self, a: int, b: int, least: float) -> None:
        """Make one of two clusters, a < b, and note how close it is to the clusters around it."""
        self.root[self.members[b]] = a
        self.members[a] = np.concatenate([self.members[a], self.members[b]])
        self._sums[a] += self._sums[b]
        self._sizes[a] += self._sizes[b]
        self._versions[a] += 1
        self._versions[b] = -1
        near = np.unique(self.root[np.concatenate([self._near[a], self._near[b]])])
        near = near[near != a]
        self._near[a], self._near[b] = near, near[:0]
        linkage = (self._sums[near] @ self._sums[a]) / (self._sizes[near] * self._sizes[a])
        close = linkage >= least
        for other, mean in zip(near[close].tolist(), linkage[close].tolist(), strict=True):
            low, high = (a, other) if a < other else (other, a)
            heapq.heappush(self._heap, (-mean, low, high, self._versions[low], self._versions[high]))

    def _first_pairs(self, least: float) -> Iterator[tuple[float, int, int]]:
        """The edges, the closest first, with their cosines' negatives."""
        edges = self._edges
        kept = np.flatnonzero(edges.cosines >= least)
        kept = kept[np.lexsort((edges.b[kept], edges.a[kept], -edges.cosines[kept]))]
        for start in range(0, len(kept), _CHUNK):
            rows = kept[start : start + _CHUNK]
            yield from zip((-edges.cosines[rows]).tolist(), edges.a[rows].tolist(), edges.b[rows].tolist(), strict=True)


def _adjacency(edges: Edges, count: int) -> list[Rows]:
    """Neighbours of each row."""
    sources = np.concatenate([edges.a, edges.b])
    targets = np.concatenate([edges.b, edges.a])
    order = np.argsort(sources, kind="stable")
    ends = np.cumsum(np.bincount(sources, minlength=count))
    return np.split(targets[order], ends[:-1]) if count else []
