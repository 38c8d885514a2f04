"""Which person each of our own tracks shows."""

from __future__ import annotations

import numpy as np

from throughline.domain.time import NS_PER_SECOND
from throughline.domain.tracks import TrackTable
from throughline.domain.truth import NOBODY, CameraTruth, label_tracks

FRAME = NS_PER_SECOND // 10


def _box(left: float) -> tuple[float, float, float, float]:
    return left, 100.0, left + 40, 200.0


def _truth(*rows: tuple[int, int, float, float]) -> CameraTruth:
    """Rows of (frame, person, left, visibility)."""
    return CameraTruth(
        times_ns=np.array([row[0] * FRAME for row in rows], np.int64),
        persons=np.array([row[1] for row in rows], np.int64),
        boxes=np.array([_box(row[2]) for row in rows], np.float32).reshape(-1, 4),
        visibility=np.array([row[3] for row in rows], np.float32),
    )


def _table(*rows: tuple[int, int, float]) -> TrackTable:
    """Rows of (track, frame, left)."""
    return TrackTable(
        track_ids=np.array([row[0] for row in rows], np.int64),
        times_ns=np.array([row[1] * FRAME for row in rows], np.int64),
        boxes=np.array([_box(row[2]) for row in rows], np.float32).reshape(-1, 4),
        scores=np.ones(len(rows), np.float32),
    )


def test_a_track_shows_the_person_that_most_of_its_boxes_lie_on() -> None:
    #        frame  0  1  2  3
    # person 0 at   0  0  0  0      person 1 at 300
    truth = _truth(*((frame, person, 300.0 * person, 1.0) for frame in range(4) for person in (0, 1)))
    labels = label_tracks(_table((1, 0, 2), (1, 1, 1), (1, 2, 0), (1, 3, 299)), truth)
    assert labels[1].person == 0
    assert labels[1].share == 0.75
    assert labels[1].duration_ns == 3 * FRAME
    assert labels[1].median_height_px == 100


def test_a_track_far_from_everybody_shows_nobody() -> None:
    labels = label_tracks(_table((4, 0, 900), (4, 1, 900)), _truth((0, 0, 0, 1.0), (1, 0, 0, 1.0)))
    assert labels[4].person == NOBODY


def test_a_hidden_person_is_not_whom_a_track_shows() -> None:
    truth = _truth((0, 5, 0, 0.0), (0, 6, 8, 1.0))
    assert label_tracks(_table((1, 0, 0)), truth)[1].person == 6


def test_boxes_outside_the_time_of_the_truth_show_nobody() -> None:
    labels = label_tracks(_table((1, 0, 0), (1, 50, 0), (1, 51, 0)), _truth((0, 0, 0, 1.0), (1, 0, 0, 1.0)))
    assert (labels[1].person, labels[1].share) == (NOBODY, 2 / 3)


def test_times_may_differ_by_less_than_a_frame() -> None:
    table = _table((1, 0, 0))
    moved = TrackTable(table.track_ids, table.times_ns + 6_000, table.boxes, table.scores)
    assert label_tracks(moved, _truth((0, 2, 0, 1.0), (1, 3, 0, 1.0)))[1].person == 2


def test_an_empty_truth_has_nobody_to_show() -> None:
    assert label_tracks(_table((1, 0, 0)), _truth())[1].person == NOBODY
