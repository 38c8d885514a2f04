"""Scores of tiny scenes, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from throughline.domain.time import NS_PER_SECOND, ClockMap, Instant, Interval
from throughline.domain.truth import CameraTruth, TrackLabel
from throughline.simulation.scoring import Presence, auc, presence, score_film, score_retrieval, visible_spans

S = NS_PER_SECOND


def _span(start: float, end: float) -> Interval:
    return Interval(Instant(round(start * S)), Instant(round(end * S)))


def _label(track: int, person: int, share: float = 1.0, seconds: float = 5, height: float = 120) -> TrackLabel:
    return TrackLabel(track, person, share, round(seconds * S), height)


@pytest.mark.parametrize(
    ("positives", "negatives", "expected"),
    [
        ([0.9, 0.8], [0.1, 0.2], 1.0),
        ([0.1], [0.9], 0.0),
        ([0.5], [0.5], 0.5),
        ([0.9, 0.3], [0.5, 0.1], 0.75),
    ],
)
def test_auc_counts_pairs_in_the_right_order(positives: list[float], negatives: list[float], expected: float) -> None:
    assert auc(positives, negatives) == expected


def test_auc_of_nothing_is_not_a_number() -> None:
    assert math.isnan(auc([], [0.1]))


def test_retrieval_counts_clear_tracks_of_the_person_only() -> None:
    labels = {
        ("a", 1): _label(1, 7),  # found
        ("a", 2): _label(2, 7),  # missed
        ("a", 3): _label(3, 8),  # somebody else, wrongly found
        ("b", 1): _label(1, 7, share=0.6),  # found; not clear enough to be demanded, but right
        ("b", 2): _label(2, 7, seconds=0.5),  # too short to be demanded
        ("b", 3): _label(3, 7, height=30),  # too small to be demanded
        ("b", 4): _label(4, 9),
    }
    similarities = dict(zip(labels, (0.9, 0.4, 0.6, 0.8, 0.1, 0.1, 0.2), strict=True))
    found = [key for key, similarity in similarities.items() if similarity >= 0.5]
    result = score_retrieval(similarities, found, labels, person=7)
    assert (result.candidates, result.wrong, result.true, result.missed) == (3, 1, 2, (("a", 2),))
    assert result.recall == 0.5
    assert result.precision == pytest.approx(2 / 3)
    assert result.auc == 0.75  # of (0.9, 0.4) against (0.6, 0.2)


def test_a_job_without_anything_to_find_is_perfect() -> None:
    result = score_retrieval({}, [], {}, person=1)
    assert (result.recall, result.precision) == (1.0, 1.0)


def test_visible_spans_are_utc_and_bridge_a_flicker() -> None:
    # frames every 0.1 s; person 3 visible in frames 0-4 and 6-9, half hidden in frame 5, gone from 20 on
    frames = np.arange(30)
    visibility = np.where(frames == 5, 0.4, np.where(frames < 10, 1.0, 0.0)).astype(np.float32)
    truth = CameraTruth(
        times_ns=frames.astype(np.int64) * (S // 10),
        persons=np.full(30, 3, np.int64),
        boxes=np.tile(np.array([0, 0, 50, 100], np.float32), (30, 1)),
        visibility=visibility,
    )
    assert visible_spans(truth, 3, ClockMap(offset_ns=S), 0.5) == [_span(1, 2)]
    assert visible_spans(truth, 3, ClockMap(offset_ns=S), 0.5, bridge_ns=0) == [_span(1, 1.5), _span(1.6, 2)]
    assert visible_spans(truth, 4, ClockMap(), 0.5) == []
    assert presence({"a": truth}, {}, 3).half["a"] == [_span(0, 1)]
    assert visible_spans(truth, 3, ClockMap(), 0.5, min_height_px=101) == []


def _was(half: dict[str, list[Interval]], at_all: dict[str, list[Interval]] | None = None) -> Presence:
    return Presence(half, at_all or half)


#   time      0    5    10   15   20
#   a half    [---------)
#   b half         [---------)
WAS = _was({"a": [_span(0, 10)], "b": [_span(5, 15)]})


def test_a_film_that_shows_what_was_is_right_all_the_time() -> None:
    score = score_film(WAS.half, WAS.half, WAS)
    assert (score.right_share, score.stay_share, score.edges_within()) == (1.0, 1.0, 1.0)
    assert (score.owed_ns, score.stays_ns) == (15 * S, 15 * S)


def test_a_camera_that_is_left_out_is_missing_for_that_time() -> None:
    score = score_film({"a": [_span(0, 10)]}, WAS.half, WAS)
    assert score.right_share == pytest.approx(5 / 15)


def test_what_the_tracker_lost_of_a_stay_is_owed_by_the_strict_share_alone() -> None:
    late = {"a": [_span(0, 10)], "b": [_span(8, 15)]}
    score = score_film(late, late, WAS)
    assert score.right_share == 1.0
    assert score.stay_share == pytest.approx(12 / 15)
    assert score.entering_ns == (0, 3 * S)
    assert score.edges_within() == 0.75


def test_a_camera_that_shows_nobody_makes_the_film_wrong() -> None:
    score = score_film({"a": [_span(0, 15)], "b": [_span(5, 15)]}, WAS.half, WAS)
    assert score.right_share == pytest.approx((15 - 4.5) / 15)  # half a second is forgiven
    assert score.leaving_ns == (5 * S, 0)


def test_a_stay_without_a_confirmed_track_is_not_owed() -> None:
    score = score_film({"a": [_span(0, 10)]}, {"a": [_span(2, 4)]}, WAS)
    assert (score.right_share, score.owed_ns) == (1.0, 2 * S)
    assert (score.stay_share, score.stays_ns) == (1.0, 10 * S)


def test_entering_anywhere_between_visible_at_all_and_half_visible_is_no_error() -> None:
    was = _was({"a": [_span(2, 8)]}, {"a": [_span(0, 10)]})
    assert score_film({"a": [_span(1, 9)]}, was.half, was).edges_within(0) == 1.0
    assert score_film({"a": [_span(-1, 9)]}, was.half, was).entering_ns == (S,)
    assert score_film({"a": [_span(1, 7)]}, was.half, was).leaving_ns == (S,)


def test_an_appearance_of_someone_never_half_visible_may_begin_and_end_anywhere() -> None:
    was = _was({"a": []}, {"a": [_span(0, 10)]})
    assert score_film({"a": [_span(4, 5)]}, {}, was).edges_within(0) == 1.0


def test_an_appearance_while_the_person_is_elsewhere_is_off_by_its_length() -> None:
    assert score_film({"a": [_span(30, 33)]}, {}, WAS).entering_ns == (3 * S,)
