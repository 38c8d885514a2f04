"""Spatio-temporal IoU of queries with tracks, and which tracks together are the query's person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.tracker.scenes import SECOND, START, Walk
from throughline.domain.query import Query
from throughline.domain.tracks import Track
from throughline.tracker.overlap import agreement, best_together, iou, overlap, query_path


def together(query: Query, walks: Sequence[Walk]) -> tuple[list[int], float]:
    """Ids of the tracks that are the query's person, and their joint IoU."""
    path = query_path(query)
    overlaps = [overlap(path, walk.track) for walk in walks]
    chosen = best_together(path, [each for each in overlaps if each.shared.any()])
    return [each.track_id for each in chosen], iou(path, chosen)


WAY = Walk(0, 0, 10)
SCENES = [
    # What there is                         Tracks of the camera                                              Expected tracks, IoU
    ("nobody", [], [], 0.0),
    ("the same track", [Walk(1, 0, 10)], [1], 1.0),
    ("a longer track: what lies outside of the query doesn't count", [Walk(1, -5, 20, since=0)], [1], 1.0),
    ("only the first half", [Walk(1, 0, 5)], [1], 0.5),
    ("half a box to the side: 30 of 90 px", [Walk(1, 0, 10, left=130)], [1], 1 / 3),
    ("somebody else beside them", [Walk(1, 0, 10), Walk(2, 0, 10, left=130)], [1], 1.0),
    ("two fragments, the longer first", [Walk(1, 0, 4), Walk(2, 4.1, 10, since=0)], [2, 1], 1.0),
    ("a hole of two seconds between fragments", [Walk(1, 0, 4), Walk(2, 6, 10, since=0)], [1, 2], 0.8),
    ("a second box on the same person is no fragment", [Walk(1, 0, 10), Walk(2, 0, 9, left=105)], [1], 1.0),
    ("passing through for a moment is no fragment", [Walk(1, 0, 5), Walk(2, 5, 10, left=620, speed=-60)], [1], 0.5),
]


@pytest.mark.parametrize(("what", "walks", "expected", "joint"), SCENES, ids=[scene[0] for scene in SCENES])
def test_scene(what: str, walks: list[Walk], expected: list[int], joint: float) -> None:
    found, value = together(WAY.query(), walks)
    assert found == expected
    assert value == pytest.approx(joint, abs=0.03)


def test_a_sparse_query_is_interpolated() -> None:
    assert together(WAY.query(every=15), [Walk(1, 0, 10)])[1] == pytest.approx(1.0, abs=0.001)


def test_one_observation_is_a_query() -> None:
    query = WAY.query(every=1000)
    assert len(query.times_ns) == 1
    assert together(query, [Walk(1, 0, 10)]) == ([1], 1.0)


def test_observations_far_apart_count_each_for_itself() -> None:
    query = Walk(0, 0, 20).query(every=50)
    path = query_path(query)
    assert path.times_ns.tolist() == query.times_ns.tolist()
    assert together(query, [Walk(1, 0, 5)])[1] == pytest.approx(2 / 5)


def test_a_hole_in_the_query_does_not_count() -> None:
    whole = WAY.query()
    kept = np.flatnonzero((whole.times_ns < START.ns + 3 * SECOND) | (whole.times_ns > START.ns + 7 * SECOND))
    query = Query("cam1", "", whole.times_ns[kept], whole.boxes[kept])
    assert together(query, [Walk(1, 0, 3), Walk(2, 7, 10, since=0)])[1] == pytest.approx(1.0, abs=0.02)


def test_a_long_query_is_compared_at_a_bounded_number_of_instants() -> None:
    query = Walk(0, 0, 3600, speed=0).query()
    assert len(query_path(query, most=100).times_ns) <= 102
    assert together(query, [Walk(1, 0, 1800, speed=0)])[1] == pytest.approx(0.5, abs=0.01)


def test_a_track_agrees_with_the_query_until_it_goes_over_to_somebody_else() -> None:
    # For 4 s the track is the query's person; then it stays with somebody who walks the other way.
    there, away = Walk(1, 0, 4), Walk(1, 4.1, 10, left=340, speed=-60)
    times = np.concatenate([there.times_ns, away.times_ns])
    boxes = np.concatenate([there.boxes(there.times_ns), away.boxes(away.times_ns)])
    track = Track(1, times, boxes, np.ones(len(times), np.float32))
    path = query_path(WAY.query())
    (agreed,) = agreement(path, [overlap(path, track)])
    assert agreed.start <= START
    assert 4 * SECOND <= agreed.end - START <= 5 * SECOND
