"""Tiny scenes, one line a person: their track by start and end, in frames of 1/10 s, walking 6 px a frame from `left` on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pytest

from throughline.domain.geometry import Size
from throughline.perception.associate import Association, AssociationSettings, Sighting, Tracked

FRAME_NS = 100_000_000
SIZE = Size(1280, 720)


class Person(NamedTuple):
    """Seen in frames [start, end), but not in `hidden`."""

    left: float
    start: int
    end: int
    hidden: range = range(0)
    score: float = 0.9
    speed: float = 6.0


def frames(people: Iterable[Person], last: int) -> Iterator[tuple[int, list[Sighting]]]:
    for frame in range(last):
        seen = []
        for person in people:
            if person.start <= frame < person.end and frame not in person.hidden:
                left = person.left + person.speed * (frame - person.start)
                seen.append(Sighting(frame * FRAME_NS, (left, 200.0, left + 60, 380.0), person.score, 0.5))
        yield frame, seen


def tracks_of(news: Iterable[Tracked]) -> dict[int, list[int]]:
    """Frames of each track."""
    result: dict[int, list[int]] = {}
    for each in news:
        result.setdefault(each.track_id, []).extend(sighting.time_ns // FRAME_NS for sighting in each.sightings)
    return result


def associated(people: Iterable[Person], last: int = 100, absent: range = range(0)) -> dict[int, list[int]]:
    """Tracks of a scene of `last` frames; those in `absent` are missing from the footage."""
    association = Association(10.0, AssociationSettings())
    news: list[Tracked] = []
    for frame, seen in frames(people, last):
        if frame not in absent:
            news += association.update(SIZE, frame * FRAME_NS, seen)
    news += association.finish()
    return tracks_of(news)


SCENES = [
    # What happens                                  People                                              Tracks: frames
    ("nobody", [], {}),
    ("one walks through", [Person(100, 5, 50)], {1: range(5, 50)}),
    ("two at a distance", [Person(100, 3, 40), Person(700, 3, 40)], {1: range(3, 40), 2: range(3, 40)}),
    ("ids by first appearance", [Person(700, 20, 60), Person(100, 4, 90)], {1: range(4, 90), 2: range(20, 60)}),
    (
        "hidden for one second",
        [Person(100, 0, 60, hidden=range(30, 40))],
        {1: [*range(30), *range(40, 60)]},
    ),
    (
        "gone for three seconds",
        [Person(100, 0, 90, hidden=range(30, 60), speed=0)],
        {1: range(30), 2: range(60, 90)},
    ),
    ("a flicker of two frames is nobody", [Person(100, 10, 12), Person(600, 20, 40)], {1: range(20, 40)}),
    ("poor boxes alone make no track", [Person(100, 0, 50, score=0.4)], {}),
]


@pytest.mark.parametrize(("what", "people", "expected"), SCENES, ids=[scene[0] for scene in SCENES])
def test_scene(what: str, people: list[Person], expected: dict[int, Iterable[int]]) -> None:
    assert associated(people) == {track: list(frames) for track, frames in expected.items()}


def test_no_track_spans_a_gap_in_the_footage() -> None:
    stands = [Person(100, 0, 100, speed=0)]
    assert associated(stands, absent=range(40, 50)) == {1: [*range(40), *range(50, 100)]}, "1 s is bridged"
    assert associated(stands, absent=range(40, 57)) == {1: list(range(40)), 2: list(range(57, 100))}, "1.7 s are not"


def test_no_track_spans_a_change_of_the_picture_size() -> None:
    association = Association(10.0, AssociationSettings())
    news: list[Tracked] = []
    for frame, seen in frames([Person(100, 0, 40, speed=0)], 40):
        news += association.update(SIZE if frame < 20 else Size(640, 360), frame * FRAME_NS, seen)
    news += association.finish()
    assert tracks_of(news) == {1: list(range(20)), 2: list(range(20, 40))}


def test_a_low_score_prolongs_a_track_but_begins_none() -> None:
    association = Association(10.0, AssociationSettings())
    news: list[Tracked] = []
    for frame in range(30):
        score = 0.9 if frame < 10 else 0.4
        news += association.update(
            SIZE, frame * FRAME_NS, [Sighting(frame * FRAME_NS, (9.0, 9.0, 69.0, 189.0), score, 1)]
        )
    news += association.finish()
    assert tracks_of(news) == {1: list(range(30))}


WALK = [(0, 0.9), (20, 0.2), (30, 0.9), (40, 0.2)]
"""Frames from which on somebody has a score: at the end somebody else stands before them."""


@pytest.mark.parametrize(
    ("last", "least_end_score", "expected"), [(60, 0.35, 40), (60, 0.0, 60), (100, 0.35, 69), (25, 0.35, 20)]
)
def test_weak_boxes_at_the_end_of_a_track_are_left_out(last: int, least_end_score: float, expected: int) -> None:
    """Those between sure ones are kept, and of a long weak end all but 3 s."""
    association = Association(10.0, AssociationSettings(least_end_score=least_end_score))
    news: list[Tracked] = []
    for frame in range(last):
        score = next(score for start, score in reversed(WALK) if start <= frame)
        left = 6.0 * frame
        sighting = Sighting(frame * FRAME_NS, (left, 200.0, left + 60, 380.0), score, 0.5)
        news += association.update(SIZE, frame * FRAME_NS, [sighting])
    news += association.finish()
    assert tracks_of(news) == {1: list(range(expected))}
    assert [each.ended for each in news].count(True) == 1


@pytest.mark.parametrize(("scores", "expected"), [((0.9, 0.9, 0.2), {}), ((0.9, 0.9, 0.2, 0.9), {1: [0, 1, 2, 3]})])
def test_weak_boxes_at_the_end_make_no_track(scores: tuple[float, ...], expected: dict[int, list[int]]) -> None:
    association = Association(10.0, AssociationSettings())
    news: list[Tracked] = []
    for frame, score in enumerate(scores):
        sighting = Sighting(frame * FRAME_NS, (300.0, 200.0, 360.0, 380.0), score, 0.5)
        news += association.update(SIZE, frame * FRAME_NS, [sighting])
    news += association.finish()
    assert tracks_of(news) == expected


def test_whoever_is_weak_throughout_is_no_track_or_one_with_boxes() -> None:
    """Where the least score of a track's end lies above that of its beginning."""
    settings = AssociationSettings(activation_score=0.3, high_score=0.3, least_overlap=0.2)
    for last in (20, 60):
        association = Association(10.0, settings)
        news: list[Tracked] = []
        for frame in range(last):
            sighting = Sighting(frame * FRAME_NS, (300.0, 200.0, 360.0, 380.0), 0.32, 0.5)
            news += association.update(SIZE, frame * FRAME_NS, [sighting])
        news += association.finish()
        assert {track: frames[0] for track, frames in tracks_of(news).items()} == ({1: 0} if last == 60 else {})


def test_every_track_is_given_out_in_order_of_time_and_ends_once() -> None:
    association = Association(10.0, AssociationSettings())
    people = [Person(90.0 * index, 7 * index, 7 * index + 40, speed=1) for index in range(10)]
    news = [each for frame, seen in frames(people, 200) for each in association.update(SIZE, frame * FRAME_NS, seen)]
    assert sorted(each.track_id for each in news if each.ended) == list(range(1, 11)), "all ended long before the end"
    assert list(association.finish()) == []
    for times in tracks_of(news).values():
        assert times == sorted(set(times))


def test_two_associations_do_not_share_ids() -> None:
    first, second = associated([Person(100, 0, 30)]), associated([Person(100, 0, 30)])
    assert first == second == {1: list(range(30))}


def test_memory_is_bounded_by_the_people_in_view() -> None:
    association = Association(10.0, AssociationSettings())
    waiting = 0
    random = np.random.default_rng(0)
    for frame in range(2_000):
        flicker = [(float(x), 200.0, float(x) + 50, 350.0) for x in random.integers(0, 1200, 3)]
        seen = [Sighting(frame * FRAME_NS, box, 0.9, 0.5) for box in flicker]
        list(association.update(SIZE, frame * FRAME_NS, seen))
        waiting = max(waiting, sum(len(state.pending) for state in association._open.values()))
    assert waiting < 3 * 10 * 5, "never more than a few seconds of boxes"
