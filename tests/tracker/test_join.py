"""Walks cut in two, and what else is near."""

from __future__ import annotations

import numpy as np
import pytest

from throughline.tracker.ends import TrackEnds
from throughline.tracker.join import Join, JoinSettings, Looks, chains, joins

STEP = 100_000_000
Walk = tuple[int, int, float, float, float]
"""First step, number of steps, left edge at the first, pixels a step, height."""


def joined(
    *walks: Walk, looks: Looks | None = None, breaks: tuple[int, ...] = (), block: int = 7, longest: float = 2.0
) -> list[Join]:
    rows = []
    for number, (first, count, left, speed, height) in enumerate(walks, start=1):
        for step in range(count):
            x = left + speed * step
            rows.append((number, (first + step) * STEP, x, 100.0, x + 40, 100 + height))
    rows.sort(key=lambda row: row[1])
    ends = TrackEnds()
    for start in range(0, len(rows), block):
        part = np.array(rows[start : start + block])
        ends.add(part[:, 0].astype(np.int64), part[:, 1].astype(np.int64), part[:, 2:].astype(np.float32))
    return joins(ends.ends(), JoinSettings(longest_seconds=longest), breaks, looks)


def pairs(found: list[Join]) -> list[tuple[int, int]]:
    return [(each.before, each.after) for each in found]


CUT = ((0, 20, 100.0, 5.0, 120.0), (30, 20, 250.0, 5.0, 120.0))


@pytest.mark.parametrize(
    ("what", "walks", "expected"),
    [
        ("nobody", (), []),
        ("one walk cut in two", CUT, [(1, 2)]),
        ("in three", (*CUT, (55, 20, 375.0, 5.0, 120.0)), [(1, 2), (2, 3)]),
        ("too long out of sight", (CUT[0], (45, 20, 325.0, 5.0, 120.0)), []),
        ("elsewhere", (CUT[0], (30, 20, 450.0, 5.0, 120.0)), []),
        ("somebody much taller", (CUT[0], (30, 20, 250.0, 5.0, 180.0)), []),
        ("at the same time", (CUT[0], (15, 20, 175.0, 5.0, 120.0)), []),
        ("a track of one box", (CUT[0], (21, 1, 205.0, 0.0, 120.0)), [(1, 2)]),
        (
            "two who pass each other, in one go",
            (
                (0, 20, 100.0, 5.0, 120.0),
                (0, 20, 400.0, -5.0, 120.0),
                (26, 20, 230.0, 5.0, 120.0),
                (26, 20, 270.0, -5.0, 120.0),
            ),
            [(1, 3), (2, 4)],
        ),
    ],
)
def test_tracks_are_joined_where_their_motions_meet(
    what: str, walks: tuple[Walk, ...], expected: list[tuple[int, int]]
) -> None:
    assert pairs(joined(*walks)) == expected, what


def test_ends_are_the_same_however_the_table_is_cut_into_blocks() -> None:
    far = (200, 5, 0.0, 1.0, 90.0)
    assert joined(*CUT, far, block=1) == joined(*CUT, far, block=1000)


def test_looks_decide_against_motion_and_count_in_the_cost() -> None:
    assert pairs(joined(*CUT, looks=lambda _, __: 0.3)) == []
    (sure,) = joined(*CUT, looks=lambda _, __: 1.0)
    (unsure,) = joined(*CUT, looks=lambda _, __: 0.85)
    (unseen,) = joined(*CUT, looks=lambda _, __: None)
    assert sure.cost < unsure.cost
    assert (sure.likelihood, unseen.likelihood) == (1.0, None)


def test_no_join_spans_a_moment_at_which_everything_began_anew() -> None:
    assert pairs(joined(*CUT, breaks=(0, 25 * STEP))) == []
    assert pairs(joined(*CUT, breaks=(0,))) == [(1, 2)]


def test_zero_seconds_join_nothing() -> None:
    assert joined(*CUT, longest=0.0) == []


def test_chains_hold_every_track_once_in_order() -> None:
    found = [Join(1, 4, 0, 0.0, None), Join(4, 5, 0, 0.0, None)]
    assert chains(range(1, 6), found) == [[1, 4, 5], [2], [3]]
