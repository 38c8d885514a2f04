"""Clocks are measured from people whom two cameras saw at once, and only where that is sure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from throughline.domain.shared_views import FURTHEST_NS, LEAST_PEOPLE, Offset, measure_offset
from throughline.domain.time import NS_PER_SECOND
from throughline.domain.tracks import Track

SECOND = NS_PER_SECOND
TALL = 1.7
Floats = NDArray[np.float64]
Way = Callable[[np.random.Generator, Floats], Floats]
"""(n,) seconds to (n, 2) metres on the floor."""


def wander(rng: np.random.Generator, times: Floats) -> Floats:
    """Through a room of 8 x 6 m, with stops and turns."""
    corners = rng.uniform([0, 0], [8, 6], (4, 2))
    at = np.cumsum([0, *rng.uniform(2, 6, 3)])
    return np.stack([np.interp(times, at, corners[:, axis]) for axis in (0, 1)], axis=1)


def march(rng: np.random.Generator, times: Floats) -> Floats:
    """Along the middle of the room, everybody at the same speed: whose offset could as well be a place."""
    return np.stack([1 + 0.6 * times, np.full(len(times), 3.0)], axis=1)


def seen(places: Floats, times: Floats, ahead: float, mirrored: bool, rng: np.random.Generator) -> Track:
    """Boxes by a pinhole camera 3 m up at one end of the room, whose clock is ahead by some seconds; its boxes jitter by 2 %."""
    x, y = (8 - places[:, 0], 6 - places[:, 1]) if mirrored else (places[:, 0], places[:, 1])
    depth, aside = x + 2.0, y - 3.0
    foot, head = (540 * (3.0 - height) / depth + 100 for height in (0.0, TALL))
    tall = foot - head
    jitter = rng.normal(0, 0.02, (4, len(times))) * tall
    middle, wide = 480 + 540 * aside / depth, 0.3 * tall
    boxes = np.stack([middle - wide, head, middle + wide, foot], axis=1) + jitter.T
    ns = np.round((times + ahead) * SECOND).astype(np.int64)
    return Track(1, ns, boxes.astype(np.float32), np.ones(len(ns), np.float32))


def people(count: int, ahead: float, way: Way = wander, seed: int = 1) -> list[tuple[list[Track], list[Track]]]:
    """One after the other by both cameras, 10 boxes a second, each 12 s, the second camera's clock ahead."""
    rng, found = np.random.default_rng(seed), []
    for person in range(count):
        times = np.arange(0, 12, 0.1)
        places = way(rng, times)
        times = times + 60 * person
        found.append(([seen(places, times, 0, False, rng)], [seen(places, times, ahead, True, rng)]))
    return found


@pytest.mark.parametrize("ahead", [1.7, -4.35, 0.0])
def test_the_offset_of_two_clocks_is_found(ahead: float) -> None:
    found = measure_offset(people(LEAST_PEOPLE + 2, ahead))
    assert found is not None
    assert found.offset_ns / SECOND == pytest.approx(ahead, abs=0.1)
    assert 0.1 * SECOND <= found.uncertainty_ns < 0.2 * SECOND
    assert found.pairs == LEAST_PEOPLE + 2
    assert 0 <= found.at.ns < 60 * (LEAST_PEOPLE + 2) * SECOND


def test_a_single_wrong_person_does_not_move_it() -> None:
    right, wrong = people(10, 1.7), people(10, 1.7, seed=2)
    found = measure_offset([*right[:-1], (right[-1][0], wrong[-1][1])])
    assert found is not None
    assert found.offset_ns / SECOND == pytest.approx(1.7, abs=0.1)


def silent(case: list[tuple[list[Track], list[Track]]]) -> bool:
    return measure_offset(case) is None


def test_what_says_nothing_of_the_clocks_is_not_taken_for_something() -> None:
    right, others = people(10, 1.7), people(10, 1.7, seed=2)
    assert silent([]), "nobody"
    assert silent(right[: LEAST_PEOPLE - 1]), "too few"
    assert silent([(one, other) for (one, _), (_, other) in zip(right, others, strict=True)]), "other people"
    assert silent(people(10, 1.7, march)), "a column: where it is tells as well as when"
    assert silent(people(10, FURTHEST_NS / SECOND + 5)), "further off than is looked for"
    assert silent(
        [
            (one, [Track(1, each.times_ns[:4], each.boxes[:4], each.scores[:4]) for each in other])
            for one, other in right
        ]
    )


def test_tracks_that_are_far_apart_in_time_are_passed_over() -> None:
    right = people(8, 1.7)
    later = [Track(2, each.times_ns + 3600 * SECOND, each.boxes, each.scores) for _, (each,) in right]
    with_others = [(one, [*other, late]) for (one, other), late in zip(right, later, strict=True)]
    assert isinstance(found := measure_offset(right), Offset)
    assert measure_offset(with_others) == found
