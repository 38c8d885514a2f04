"""Transit times are learned from people who were confirmed, and only where enough of them took a way."""

from __future__ import annotations

import numpy as np
import pytest

from throughline.domain.pairs import TrackId, TrackSpan
from throughline.domain.time import NS_PER_SECOND, Instant, Interval
from throughline.domain.transits import LEAST_PAIRS, gaps_of, learn

SECOND = NS_PER_SECOND


def seen(camera: str, number: int, start: float, end: float) -> TrackSpan:
    span = Interval(Instant(round(start * SECOND)), Instant(round(end * SECOND)))
    return TrackSpan(TrackId(camera, f"key-{camera}", number), span)


def test_a_transit_is_from_one_sighting_to_the_next_elsewhere() -> None:
    person = [seen("c", 1, 40, 50), seen("a", 1, 0, 10), seen("b", 1, 15, 20), seen("b", 2, 22, 30)]
    assert gaps_of([person]) == {("a", "b"): [5 * SECOND], ("b", "c"): [10 * SECOND]}


def test_whoever_is_in_two_views_at_once_is_under_way_between_none() -> None:
    gaps = gaps_of([[seen("a", number, 0, 10), seen("b", number, 8, 20)] for number in range(1, 20)])
    assert gaps == {("a", "b"): [-2 * SECOND] * 19}
    assert learn(gaps) == ()


def test_the_same_tracks_of_two_jobs_count_once() -> None:
    person = [seen("a", 1, 0, 10), seen("b", 1, 15, 20)]
    assert gaps_of([person, person[::-1]]) == {("a", "b"): [5 * SECOND]}


def test_median_and_spread_are_found_among_outliers() -> None:
    rng = np.random.default_rng(5)
    gaps = (np.exp(rng.normal(np.log(30), 0.3, 200)) * SECOND).astype(np.int64).tolist()
    found = learn({("a", "b"): [*gaps, *[3_600 * SECOND] * 10]})
    assert (found[0].start, found[0].end, found[0].pairs) == ("a", "b", 210)
    assert found[0].median_ns / SECOND == pytest.approx(30, rel=0.1)
    assert found[0].spread == pytest.approx(np.exp(0.3), rel=0.15)


def test_a_way_that_few_took_is_not_learned_and_few_are_drawn_towards_the_rest() -> None:
    few, enough = [10 * SECOND] * (LEAST_PAIRS - 1), [10 * SECOND] * LEAST_PAIRS
    many = [40 * SECOND] * 100
    found = {(each.start, each.end): each for each in learn({("a", "b"): few, ("a", "c"): enough, ("b", "c"): many})}
    assert set(found) == {("a", "c"), ("b", "c")}
    assert 10 * SECOND < found["a", "c"].median_ns < 20 * SECOND
    assert found["b", "c"].spread == pytest.approx(1.2)


def test_nothing_is_learned_from_nobody() -> None:
    assert learn({}) == ()
