"""Ways between cameras, from sightings that follow, overlap and contain each other."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tracker.identities.people import Seen, tracks_of
from throughline.domain.time import NS_PER_SECOND
from throughline.tracker.identities.flows import flows

Span = tuple[str, float, float]


@pytest.mark.parametrize(
    ("spans", "ways"),
    [
        ([("a", 0, 10), ("b", 12, 20)], [("a", "b", 1, 2)]),
        ([("a", 0, 10), ("b", 8, 20)], [("a", "b", 1, 0)]),
        # b lies within a: nobody has left a, and who goes to c comes from a
        ([("a", 0, 100), ("b", 10, 20), ("c", 150, 160)], [("a", "c", 1, 50)]),
        ([("a", 0, 100), ("b", 10, 20), ("a", 110, 120)], []),
        ([("a", 0, 100), ("b", 10, 20), ("c", 30, 90), ("b", 95, 130)], [("a", "b", 1, 0)]),
        ([("b", 0, 5), ("a", 0, 10), ("c", 12, 13)], [("a", "c", 1, 2)]),
        ([("a", 0, 10), ("b", 0, 10)], []),
    ],
)
def test_ways_lead_from_the_sighting_that_lasts_longest(
    spans: list[Span], ways: list[tuple[str, str, int, float]]
) -> None:
    seen = [Seen(camera, number, start, end, (1.0, 0.0)) for number, (camera, start, end) in enumerate(spans)]
    tracks = tracks_of(seen)
    found = flows(tracks, np.ones(len(tracks), np.int64), np.ones(len(tracks)))
    assert [(way.start, way.end, way.count, way.median_ns / NS_PER_SECOND) for way in found] == ways


def test_sightings_of_one_identity_never_contain_those_of_another() -> None:
    tracks = tracks_of([Seen("a", 1, 0, 100, (1, 0)), Seen("a", 2, 5, 10, (0, 1)), Seen("b", 1, 20, 30, (0, 1))])
    found = flows(tracks, np.array([1, 2, 2]), np.ones(3))
    assert [(way.start, way.end, way.median_ns / NS_PER_SECOND) for way in found] == [("a", "b", 10)]


def test_nobody_goes_nowhere() -> None:
    assert flows(tracks_of([]), np.zeros(0, np.int64), np.zeros(0)) == []
