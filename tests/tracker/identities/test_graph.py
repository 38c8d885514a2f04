"""Neighbours: exact where few, nearly all of them where many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from throughline.tracker.identities.graph import LEAST_RECALL, TrackIndex, neighbours


def vectors(count: int, dimension: int = 32) -> NDArray[np.float32]:
    drawn = np.random.default_rng(3).normal(size=(count, dimension)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def test_every_pair_of_neighbours_comes_once_with_its_cosine() -> None:
    points = vectors(300)
    edges, recall = neighbours(points, 10)
    assert (recall.index, recall.found) == ("flat", 1.0)
    assert (edges.a < edges.b).all()
    assert len({(a, b) for a, b in zip(edges.a.tolist(), edges.b.tolist(), strict=True)}) == len(edges.a)
    assert np.allclose(edges.cosines, np.einsum("ij,ij->i", points[edges.a], points[edges.b]), atol=1e-5)
    order = np.argsort(-(points @ points.T), axis=1)
    wanted = {(min(row, int(other)), max(row, int(other))) for row in range(300) for other in order[row, 1:11]}
    assert set(zip(edges.a.tolist(), edges.b.tolist(), strict=True)) == wanted


def test_fewer_tracks_than_neighbours_are_all_neighbours() -> None:
    edges, _ = neighbours(vectors(4), 50)
    assert len(edges.a) == 6
    assert len(neighbours(vectors(1), 50)[0].a) == 0
    assert len(neighbours(vectors(0), 50)[0].a) == 0


def test_an_index_takes_the_effort_that_finds_nearly_all() -> None:
    points = vectors(4_000, 16)
    index = TrackIndex(points, 20, exact_below=1_000)
    assert index.recall.index.startswith("IVF10,PQ8x4fs")
    assert index.recall.found >= LEAST_RECALL
    assert index.recall.sampled == 256
    _, rows = index.search(points[:200], 20)
    exact = np.argsort(-(points[:200] @ points.T), axis=1)[:, :20]
    found = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(rows.tolist(), exact.tolist(), strict=True)])
    assert found > LEAST_RECALL - 0.02


def test_progress_counts_every_track() -> None:
    steps: list[int] = []
    neighbours(vectors(5_000, 8), 3, steps.append)
    assert steps == [2048, 4096, 5000]
