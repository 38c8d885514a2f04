from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughline.domain.pairs import TrackId
from throughline.domain.time import Instant, Interval
from throughline.domain.timeline import Appearance, Segment, clipped, excerpt, merged, plan

EPOCH = 1_772_355_600_000_000_000
"""An odd moment in 2026, so that nothing works only near 0."""


def span(start: int, end: int) -> Interval:
    return Interval(Instant(EPOCH + start), Instant(EPOCH + end))


def seen(camera: str, start: int, end: int, number: int = 1) -> Appearance:
    return Appearance(camera, span(start, end), (TrackId(camera, "key", number),))


def scene(segments: tuple[Segment, ...]) -> list[tuple[int, int, int, str]]:
    """(film start, start, end, cameras in the order of their tiles); cameras without a free tile follow a bar."""
    return [
        (
            segment.film_start_ns,
            segment.span.start.ns - EPOCH,
            segment.span.end.ns - EPOCH,
            "".join(a.camera for a in segment.shown) + "".join("|" + a.camera for a in segment.hidden),
        )
        for segment in segments
    ]


SCENES = {
    "one camera alone is the whole film": (
        [seen("a", 5, 9)],
        [(0, 5, 9, "a")],
    ),
    "a gap is jumped": (
        [seen("a", 0, 4), seen("b", 10, 13)],
        [(0, 0, 4, "a"), (4, 10, 13, "b")],
    ),
    "touching appearances follow each other without a jump": (
        [seen("a", 0, 4), seen("b", 4, 7)],
        [(0, 0, 4, "a"), (4, 4, 7, "b")],
    ),
    "a second camera enters on the right at that moment, and the one that stays gets the frame back": (
        [seen("a", 0, 6), seen("b", 4, 9)],
        [(0, 0, 4, "a"), (4, 4, 6, "ab"), (6, 6, 9, "b")],
    ),
    "a nested one enters and leaves": (
        [seen("a", 0, 10), seen("b", 3, 5)],
        [(0, 0, 3, "a"), (3, 3, 5, "ab"), (5, 5, 10, "a")],
    ),
    "three and more keep the order in which they came": (
        [seen("c", 0, 8), seen("a", 1, 9), seen("b", 2, 7), seen("d", 3, 4)],
        [
            (0, 0, 1, "c"),
            (1, 1, 2, "ca"),
            (2, 2, 3, "cab"),
            (3, 3, 4, "cabd"),
            (4, 4, 7, "cab"),
            (7, 7, 8, "ca"),
            (8, 8, 9, "a"),
        ],
    ),
    "identical spans stand in the order of their names": (
        [seen("b", 0, 4), seen("a", 0, 4)],
        [(0, 0, 4, "ab")],
    ),
    "one leaves at the moment another enters": (
        [seen("a", 0, 8), seen("b", 0, 4), seen("c", 4, 8)],
        [(0, 0, 4, "ab"), (4, 4, 8, "ac")],
    ),
    "the same camera twice, apart, is two appearances": (
        [seen("a", 0, 2), seen("a", 7, 9, 2)],
        [(0, 0, 2, "a"), (2, 7, 9, "a")],
    ),
    "the same camera twice, overlapping, is one tile": (
        [seen("a", 0, 5), seen("a", 3, 9, 2)],
        [(0, 0, 9, "a")],
    ),
    "the same camera twice, touching, is one tile": (
        [seen("a", 0, 5), seen("a", 5, 9, 2)],
        [(0, 0, 9, "a")],
    ),
    "an empty span shows nothing": (
        [seen("a", 3, 3), seen("b", 0, 5)],
        [(0, 0, 5, "b")],
    ),
    "nothing seen is no film": ([], []),
}


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_planned(name: str) -> None:
    appearances, expected = SCENES[name]
    assert scene(plan(merged(appearances), 9)) == expected


def test_whoever_is_shown_stays_and_the_next_one_waits_for_a_free_tile() -> None:
    segments = plan([seen("a", 0, 9), seen("b", 1, 4), seen("c", 2, 9), seen("d", 3, 9)], 2)
    assert scene(segments) == [
        (0, 0, 1, "a"),
        (1, 1, 2, "ab"),
        (2, 2, 3, "ab|c"),
        (3, 3, 4, "ab|c|d"),
        (4, 4, 9, "ac|d"),
    ]


def test_a_film_without_tiles_is_refused() -> None:
    with pytest.raises(ValueError, match="max_tiles is 0"):
        plan([seen("a", 0, 1)], 0)


def test_missing_footage_is_jumped_only_where_nobody_else_is_shown() -> None:
    gaps = {"a": [span(3, 5), span(7, 8)]}
    assert scene(plan([seen("a", 0, 10), seen("b", 4, 6)], 9, gaps)) == [
        (0, 0, 3, "a"),
        (3, 4, 6, "ab"),
        (5, 6, 7, "a"),
        (6, 8, 10, "a"),
    ]


def test_fragments_are_bridged_only_within_one_camera_and_up_to_the_limit() -> None:
    joined = merged([seen("a", 0, 4), seen("a", 6, 8, 2), seen("a", 11, 12, 3), seen("b", 4, 6)], bridge_ns=2)
    assert [(a.camera, a.span, [t.number for t in a.tracks]) for a in joined] == [
        ("a", span(0, 8), [1, 2]),
        ("b", span(4, 6), [1]),
        ("a", span(11, 12), [3]),
    ]


def test_an_appearance_is_clipped_to_a_window() -> None:
    assert clipped(seen("a", 2, 9), span(5, 20)) == seen("a", 5, 9)
    assert clipped(seen("a", 2, 9), span(9, 20)) is None


EXCERPTS = [
    # spans,                 moments, limit, what is kept
    ([(0, 10)], [5], 10, [(0, 10)]),  # fits
    ([(0, 100)], [50], 20, [(0, 5), (45, 55), (95, 100)]),  # entering, the best, leaving
    ([(0, 100)], [3], 20, [(0, 11), (91, 100)]),  # the best near the start (a nanosecond is rounded away)
    (
        [(0, 100)],
        [50, 52, 20],
        24,
        [(0, 4), (16, 24), (46, 54), (96, 100)],
    ),  # what lies beside a better one is no other
    ([(0, 10), (50, 60), (90, 100)], [52], 16, [(0, 4), (8, 10), (50, 56), (96, 100)]),  # over a jump
    ([(0, 10), (50, 60)], [30], 16, [(0, 4), (6, 10), (50, 54), (56, 60)]),  # the best between two spans
    ([(0, 0), (5, 9)], [5], 10, [(5, 9)]),  # an empty span is left out
]


@pytest.mark.parametrize(("spans", "moments", "limit", "kept"), EXCERPTS)
def test_footage_that_is_too_long_is_cut_to_what_tells_most(
    spans: list[tuple[int, int]], moments: list[int], limit: int, kept: list[tuple[int, int]]
) -> None:
    found = excerpt([span(*each) for each in spans], [Instant(EPOCH + moment) for moment in moments], limit)
    assert [(each.start.ns - EPOCH, each.end.ns - EPOCH) for each in found] == kept


@st.composite
def any_appearance(draw: st.DrawFn) -> Appearance:
    start = draw(st.integers(0, 60))
    return seen(draw(st.sampled_from("abcde")), start, start + draw(st.integers(0, 20)), draw(st.integers(1, 9)))


@given(st.lists(any_appearance(), max_size=12), st.integers(1, 4), st.integers(0, 3))
def test_every_plan_shows_exactly_what_was_seen(appearances: list[Appearance], max_tiles: int, bridge_ns: int) -> None:
    joined = merged(appearances, bridge_ns)
    segments = plan(joined, max_tiles)
    film_end = 0
    for segment in segments:
        assert segment.film_start_ns == film_end
        assert segment.span.duration_ns > 0
        assert 1 <= len(segment.shown) <= max_tiles
        film_end = segment.film_end_ns
        for appearance in (*segment.shown, *segment.hidden):
            assert appearance.span.start <= segment.span.start
            assert segment.span.end <= appearance.span.end
        cameras = [appearance.camera for appearance in (*segment.shown, *segment.hidden)]
        assert len(set(cameras)) == len(cameras)
        assert not segment.hidden or len(segment.shown) == max_tiles
    for one, following in pairwise(segments):
        assert one.span.end <= following.span.start
        stay = [a for a in one.shown if a in following.shown]
        if one.span.end == following.span.start:
            assert (one.shown, one.hidden) != (following.shown, following.hidden)
            assert list(following.shown[: len(stay)]) == stay
    for appearance in joined:
        covered = sum(s.span.duration_ns for s in segments if appearance in (*s.shown, *s.hidden))
        assert covered == appearance.span.duration_ns


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20)), min_size=1, max_size=6),
    st.lists(st.integers(0, 200), min_size=1, max_size=4),
    st.integers(1, 80),
)
def test_an_excerpt_has_the_length_asked_for_and_holds_the_best_moment(
    steps: list[tuple[int, int]], moments: list[int], limit: int
) -> None:
    spans, at = [], 0
    for gap, length in steps:
        spans.append(span(at + gap, at + gap + length))
        at += gap + length
    kept = excerpt(spans, [Instant(EPOCH + moment) for moment in moments], limit)
    total = sum(each.duration_ns for each in spans)
    assert sum(each.duration_ns for each in kept) == min(total, limit)
    assert all(any(whole.start <= each.start and each.end <= whole.end for whole in spans) for each in kept)
    assert all(one.end <= other.start for one, other in pairwise(kept))
    best = Instant(EPOCH + moments[0])
    if any(best in each for each in spans) and limit >= 16:  # below, whole nanoseconds decide
        assert any(best in each for each in kept)
