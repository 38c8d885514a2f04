"""What space and time say of two sightings: impossible, unlikely, likely, or nothing."""

from __future__ import annotations

import pytest

from throughline.domain.errors import InvalidInput
from throughline.domain.time import NS_PER_SECOND, Instant, Interval
from throughline.domain.topology import LONGER_THAN_MOST, Judgement, Objection, Sighting, Topology, Transit

SECOND = NS_PER_SECOND
WINDOW = 600 * SECOND


def seen(camera: str, start: float, end: float, uncertainty: float = 0.0) -> Sighting:
    span = Interval(Instant(round(start * SECOND)), Instant(round(end * SECOND)))
    return Sighting(camera, span, round(uncertainty * SECOND))


def judged(topology: Topology, one: Sighting, other: Sighting) -> Judgement:
    """Whichever is named first, the judgement is the same."""
    found = topology.judge(one, other, WINDOW)
    assert topology.judge(other, one, WINDOW) == found
    return found


WAY = Topology(transits={("a", "b"): Transit(5 * SECOND, 60 * SECOND)})


@pytest.mark.parametrize(
    ("one", "other", "objection"),
    [
        (seen("a", 0, 10), seen("b", 14, 20), Objection.TOO_SOON),
        (seen("a", 0, 10), seen("b", 14.8, 20), None),  # a little sooner, as tracks begin a little late or early
        (seen("a", 0, 10), seen("b", 15, 20), None),
        (seen("a", 0, 10, 1.0), seen("b", 12.5, 20), None),  # the clock of a may be off by that
        (seen("a", 0, 10), seen("b", 8, 20), Objection.SAME_TIME),
        (seen("a", 0, 10, 2.5), seen("b", 8, 20), None),
        (
            seen("a", 0, 10, 1.0),
            seen("b", 8, 20),
            Objection.TOO_SOON,
        ),  # 1 s apart, and no more, if the clock is 3 s off
        (seen("a", 0, 10), seen("b", 9.8, 20), Objection.TOO_SOON),
        (seen("a", 0, 10), seen("b", 0.1, 0.2), None),  # from b to a, of which nothing is known
        (seen("a", 0, 0.2), seen("b", 0, 0.2), None),
        (seen("b", 0, 10), seen("a", 9.8, 20), None),
        (seen("b", 0, 10), seen("a", 11, 20), None),  # the other direction was not given
        (seen("a", 0, 10), seen("c", 2, 8), None),  # nobody said that a and c do not overlap
    ],
)
def test_what_cannot_be_is_told_from_what_may_be(one: Sighting, other: Sighting, objection: Objection | None) -> None:
    assert judged(WAY, one, other).objection == objection


def test_a_least_time_that_is_given_both_ways_holds_whoever_came_first() -> None:
    both = Topology(transits={("a", "b"): Transit(5 * SECOND), ("b", "a"): Transit(5 * SECOND)})
    assert judged(both, seen("a", 0, 0.2), seen("b", 0, 0.2)).objection is Objection.TOO_SOON
    assert judged(both, seen("a", 0, 10), seen("b", 0.1, 0.2)).objection is Objection.TOO_SOON


def test_taking_over_needs_no_time_where_none_is_given() -> None:
    apart = Topology(frozenset("ab"), overlaps_complete=True)
    assert judged(apart, seen("a", 0, 10), seen("b", 9.8, 20)) == Judgement()
    usual = Topology(transits={("a", "b"): Transit(median_ns=30 * SECOND, spread=1.3)})
    found = judged(usual, seen("a", 0, 10), seen("b", 9.8, 20))
    assert found.ratio == pytest.approx(0.5)
    assert found.reason == "seen by a and b at once for 0.2 s; 30.0 s is usual"


def test_where_clocks_leave_open_which_way_it_was_the_reason_says_so() -> None:
    ways = {("a", "b"): Transit(30 * SECOND), ("b", "a"): Transit(median_ns=20 * SECOND, spread=1.3)}
    unsure = (seen("a", 0, 2, 3), seen("b", 4, 6, 3))
    assert judged(Topology(transits=ways), *unsure).reason == "2.0 s from a to b, or by unsure clocks the other way"


def test_a_reason_names_cameras_and_seconds() -> None:
    assert judged(WAY, seen("a", 0, 10), seen("b", 12, 20)).reason == "2.0 s from a to b; it takes 5.0 s at least"
    long = judged(WAY, seen("a", 0, 10), seen("b", 100, 110))
    assert long == Judgement(None, LONGER_THAN_MOST, "90.0 s from a to b; at most 60.0 s as a rule")
    both = judged(WAY, seen("a", 0, 10), seen("b", 4, 20))
    assert both.reason == "seen by a and b at once for 6.0 s; their views do not overlap"


def test_the_usual_time_speaks_for_one_person_and_an_unusual_one_against() -> None:
    usual = Topology(transits={("a", "b"): Transit(median_ns=30 * SECOND, spread=1.3)})
    near = judged(usual, seen("a", 0, 10), seen("b", 40, 50))
    far = judged(usual, seen("a", 0, 10), seen("b", 300, 310))
    assert near.ratio > 5
    assert far.ratio == pytest.approx(0.5)
    assert near.reason == "30.0 s from a to b; 30.0 s is usual"


def test_overlaps_that_were_listed_are_all_there_are() -> None:
    some = Topology(frozenset("abc"), {}, frozenset({("a", "b")}), overlaps_complete=True)
    assert judged(some, seen("a", 0, 10), seen("b", 2, 8)) == Judgement()
    assert judged(some, seen("a", 0, 10), seen("c", 2, 8)).objection is Objection.SAME_TIME
    assert judged(some, seen("a", 0, 10), seen("d", 2, 8)) == Judgement(), "d is not known"


def test_without_knowledge_nothing_is_assumed() -> None:
    assert judged(Topology(), seen("a", 0, 10), seen("b", 2, 8)) == Judgement()
    assert judged(Topology(), seen("a", 0, 10), seen("b", 10, 18)) == Judgement()


def test_learned_transits_fill_in_and_make_nothing_impossible() -> None:
    learned = {way: Transit(median_ns=20 * SECOND, spread=1.5) for way in (("a", "b"), ("a", "c"))}
    topology = Topology(transits={("a", "b"): Transit(25 * SECOND)}, learned=learned)
    assert topology.transit("a", "b") == Transit(25 * SECOND), "a median below the least is not taken over"
    assert topology.transit("a", "c") == learned["a", "c"]
    assert judged(topology, seen("a", 0, 10), seen("c", 5, 12)) == Judgement(), "their views may overlap"
    assert judged(topology, seen("a", 0, 10), seen("c", 10, 12)).objection is None


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ((-1, None, None, None), "least is -0.0 s; expected 0 s or more"),
        ((5 * SECOND, 4 * SECOND, None, None), "least 5.0 s is more than most 4.0 s; swap them"),
        ((0, None, SECOND, None), "median and spread belong together"),
        ((0, None, SECOND, 1.0), "spread is 1; expected a factor over 1"),
        ((0, None, 0, 1.5), "median is 0.0 s; expected more than 0 s"),
        ((5 * SECOND, None, SECOND, 1.5), "from least to most"),
        ((0, SECOND, 2 * SECOND, 1.5), "from least to most"),
    ],
)
def test_times_that_cannot_be_are_refused(
    values: tuple[int, int | None, int | None, float | None], problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem.replace(".", r"\.")):
        Transit(*values)


def test_cameras_without_footage_are_named() -> None:
    assert Topology(frozenset("abc")).missing(["b", "d"]) == ("a", "c")
