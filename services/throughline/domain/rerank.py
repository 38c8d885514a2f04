"""k-reciprocal re-ranking: who has the same neighbours is more likely the same person. NumPy only.

After Zhong, Zheng, Cao and Li, "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017. What it gives is an order;
it depends on who else is there and is no measure of how sure a pair is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def reranked(
    similarity: NDArray[np.floating],
    nearest: int = 10,
    expanded: int = 3,
    share: float = 0.3,
    first: int | None = None,
) -> Floats:
    """(n, n) similarities of all with all as they rank by their neighbours, the higher the more alike; or (first, n) of the first.

    `nearest`: neighbours that count; `expanded`: neighbours whose neighbourhoods are averaged; `share` of the plain distance.
    """
    distance = np.square(1 - np.asarray(similarity, np.float64))
    np.fill_diagonal(distance, 0.0)
    distance /= np.maximum(distance.max(axis=1, keepdims=True), 1e-9)
    order = np.argsort(distance, axis=1, kind="stable")
    weights = np.zeros_like(distance)
    for row in range(len(distance)):
        around = _neighbourhood(order, row, nearest)
        near = np.exp(-distance[row, around])
        weights[row, around] = near / near.sum()
    weights = np.stack([weights[order[row, :expanded]].mean(axis=0) for row in range(len(weights))])
    shared = np.stack([np.minimum(each, weights).sum(axis=1) for each in weights[:first]])
    return -((1 - share) * (1 - shared / (2 - shared)) + share * distance[:first])


def _neighbourhood(order: NDArray[np.intp], row: int, nearest: int) -> NDArray[np.intp]:
    """Those who are neighbours both ways, and the like of each of them where most of these are shared."""
    core = _reciprocal(order, row, nearest)
    found = [core]
    for other in core.tolist():
        theirs = _reciprocal(order, other, round(nearest / 2))
        if len(np.intersect1d(theirs, core)) > 2 / 3 * len(theirs):
            found.append(theirs)
    return np.unique(np.concatenate(found))


def _reciprocal(order: NDArray[np.intp], row: int, nearest: int) -> NDArray[np.intp]:
    near = order[row, : nearest + 1]
    return near[(order[near, : nearest + 1] == row).any(axis=1)]
