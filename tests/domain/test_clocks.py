"""Clocks that are off are found from people who went both ways, and only where that is sure."""

from __future__ import annotations

import numpy as np
import pytest

from throughline.domain.clocks import MeasuredClock, measure_clocks
from throughline.domain.shared_views import Offset
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.domain.topology import Way

SECOND = NS_PER_SECOND


def walked(seconds: float, ahead: float, count: int, seed: int = 1, spread: float = 0.2) -> dict[bool, list[int]]:
    """Ways there (True) and back between two cameras of which the second's clock is `ahead`."""
    rng = np.random.default_rng(seed)

    def way(sign: int) -> list[int]:
        gaps = seconds * np.exp(rng.normal(0, spread, count)) + sign * ahead
        return [round(gap * SECOND) for gap in gaps]

    return {True: way(1), False: way(-1)}


def between(one: str, other: str, ways: dict[bool, list[int]]) -> dict[Way, list[int]]:
    return {(one, other): ways[True], (other, one): ways[False]}


def test_the_one_clock_that_is_off_is_found() -> None:
    gaps = between("a", "b", walked(10, 0, 60, 1)) | between("a", "c", walked(12, 4, 60, 2))
    gaps |= between("b", "c", walked(8, 4, 60, 3))
    found = {each.camera: each for each in measure_clocks(gaps)}
    assert found["c"].offset_ns / SECOND == pytest.approx(4, abs=3 * found["c"].uncertainty_ns / SECOND)
    assert [camera for camera, each in found.items() if each.is_sure] == ["c"]
    assert found["c"].pairs == 240


def test_the_uncertainty_covers_what_was_measured() -> None:
    errors = []
    for seed in range(100):
        gaps = between("a", "b", walked(10, 0, 20, seed)) | between("b", "c", walked(10, 2, 20, seed + 500))
        found = {each.camera: each for each in measure_clocks(gaps)}
        errors.append((found["c"].offset_ns - 2 * SECOND) / found["c"].uncertainty_ns)
    assert np.mean(np.abs(errors) < 2) > 0.9


def test_clocks_that_agree_are_not_told_of() -> None:
    assert not any(each.is_sure for each in measure_clocks(between("a", "b", walked(10, 0, 100))))


def test_a_way_that_few_took_or_that_goes_one_way_says_nothing() -> None:
    assert measure_clocks(between("a", "b", walked(10, 3, 7))) == ()
    assert measure_clocks({("a", "b"): walked(10, 3, 50)[True]}) == ()
    assert measure_clocks({}) == ()


def test_parts_of_a_site_between_which_nobody_goes_are_measured_apart() -> None:
    gaps = between("a", "b", walked(10, 0, 50)) | between("c", "d", walked(10, 0, 50))
    assert [each.camera for each in measure_clocks(gaps)] == ["a", "b", "c", "d"]


def test_an_exact_measurement_still_leaves_a_tenth_of_a_second() -> None:
    (first, _) = measure_clocks(between("a", "b", {True: [0] * 20, False: [0] * 20}))
    assert first == MeasuredClock("a", 0, 50_000_000, 40)


def test_clocks_that_were_given_are_what_the_others_are_held_to() -> None:
    gaps = between("a", "b", walked(10, 0, 60, 1)) | between("a", "c", walked(12, 4, 60, 2))
    gaps |= between("b", "c", walked(8, 4, 60, 3)) | between("d", "e", walked(10, 3, 60, 4))
    found = {each.camera: each for each in measure_clocks(gaps, given={"c"})}
    assert {camera: each.held for camera, each in found.items()} == {"a": True, "b": True, "d": False, "e": False}
    for camera in "ab":
        assert found[camera].offset_ns / SECOND == pytest.approx(-4, abs=3 * found[camera].uncertainty_ns / SECOND)
    assert found["d"].offset_ns == pytest.approx(-found["e"].offset_ns, abs=1), "nobody knows which of the two is off"
    assert [each.camera for each in measure_clocks(gaps, given={"a", "b", "c"})] == ["d", "e"]


def test_of_several_given_clocks_each_counts_as_it_was_measured() -> None:
    gaps = between("a", "b", walked(10, 2, 60, 1)) | between("b", "c", walked(10, -2, 60, 2))
    (found,) = measure_clocks(gaps, given={"a", "c"})
    assert found.offset_ns / SECOND == pytest.approx(2, abs=3 * found.uncertainty_ns / SECOND)


def test_what_overlapping_views_show_counts_by_how_sure_it_is() -> None:
    at_once = {
        ("a", "b"): Offset(2 * SECOND, SECOND // 10, Instant(0), 20),
        ("b", "c"): Offset(-2 * SECOND, SECOND // 10, Instant(0), 9),
    }
    found = {each.camera: each for each in measure_clocks({}, at_once=at_once)}
    assert (found["b"].offset_ns, found["b"].pairs, found["b"].is_sure) == (2 * SECOND, 29, True)
    assert not found["a"].is_sure
    assert not found["c"].is_sure
    both = {each.camera: each for each in measure_clocks(between("a", "b", walked(10, 3, 40)), at_once=at_once)}
    walked_only = {each.camera: each for each in measure_clocks(between("a", "b", walked(10, 3, 40)))}
    assert both["b"].pairs == 109
    assert both["b"].offset_ns == pytest.approx(2 * SECOND, abs=SECOND // 10)
    assert both["b"].uncertainty_ns < walked_only["b"].uncertainty_ns
