"""Likeness of sets of crops: what a camera's tracks have in common is taken off, and nobody counts twice."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from throughline.domain.calibration import Calibration
from throughline.domain.errors import InvalidInput
from throughline.domain.likeness import SETS, Matching, _blocks, all_likenesses, among, likenesses, mean_look, without
from throughline.domain.rerank import reranked
from throughline.domain.tracks import TrackEmbeddings, concatenated

RANDOM = np.random.default_rng(7)
DIMENSION = 16


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def tracks(looks: np.ndarray, crops_each: int = 3, qualities: np.ndarray | None = None) -> TrackEmbeddings:
    """A track for each row of (t, d) looks."""
    ids = np.repeat(np.arange(len(looks)), crops_each)
    vectors = unit(np.repeat(looks, crops_each, axis=0) + 0.1 * RANDOM.normal(size=(len(ids), looks.shape[1])))
    return crops(vectors, ids, qualities)


def crops(vectors: np.ndarray, ids: np.ndarray, qualities: np.ndarray | None = None) -> TrackEmbeddings:
    weights = np.ones(len(ids), np.float32) if qualities is None else qualities
    return TrackEmbeddings(vectors, ids, np.zeros(len(ids), np.int64), weights, np.ones(len(ids), bool), ())


def test_people_are_told_apart_although_each_camera_sees_them_in_its_own_light() -> None:
    people, lights = RANDOM.normal(size=(12, DIMENSION)), 2 * RANDOM.normal(size=(2, DIMENSION))
    cameras = [tracks(people + light) for light in lights]
    plain = cameras[0].descriptors()[1] @ cameras[1].descriptors()[1].T
    found = all_likenesses(cameras, unit(lights.mean(axis=0)), 0.99)[:12, 12:]
    right = np.eye(12, dtype=bool)
    assert (found.argmax(axis=1) == np.arange(12)).mean() > (plain.argmax(axis=1) == np.arange(12)).mean()
    assert np.median(found[right]) > np.quantile(found[~right], 0.95)


def test_all_with_each_other_is_as_each_with_all() -> None:
    looks, qualities = RANDOM.normal(size=(150, DIMENSION)), RANDOM.uniform(0, 1, 450).astype(np.float32)
    whole = tracks(looks, qualities=qualities)
    one_by_one = np.array([likenesses(whole.only(number), whole) for number in range(150)])
    np.testing.assert_allclose(among(whole), one_by_one, atol=1e-6)


def test_whoever_has_many_tracks_counts_once() -> None:
    ann, bert = np.eye(DIMENSION, dtype=np.float32)[:2]
    many = np.stack([ann] * 50 + [bert])
    nothing = np.zeros(DIMENSION, np.float32)
    np.testing.assert_allclose(mean_look(many, nothing, 0.9), mean_look(np.stack([ann, bert]), nothing, 0.9), atol=1e-6)


def test_of_a_camera_that_saw_nobody_the_models_mean_look_is_taken() -> None:
    known = unit(RANDOM.normal(size=DIMENSION))
    np.testing.assert_allclose(mean_look(np.zeros((0, DIMENSION), np.float32), known, 0.9), known, atol=1e-6)


def test_of_very_many_tracks_some_are_enough() -> None:
    looks = unit(RANDOM.normal(size=(5_000, DIMENSION)) + 2)
    np.testing.assert_allclose(mean_look(looks, looks[0], 1.1), looks.mean(axis=0), atol=0.05)


def test_a_track_is_like_one_that_shows_two_sides_if_it_shows_one_of_them() -> None:
    front, back = np.eye(DIMENSION, dtype=np.float32)[:2]
    one = crops(front[None], np.zeros(1, np.int64))
    both = np.stack([front, back])
    between = unit(front + back)[None]
    others = crops(np.concatenate([both, between]), np.array([4, 4, 9]))
    two_sides, in_between = likenesses(one, others)
    assert two_sides == pytest.approx((np.sqrt(0.5) + (1 + 0.5) / 2) / 2, abs=1e-6)
    assert in_between == pytest.approx(np.sqrt(0.5), abs=1e-6)


def test_poor_crops_count_by_the_fourth_root_of_their_quality_in_both_halves_of_a_likeness() -> None:
    front, back = np.eye(DIMENSION, dtype=np.float32)[:2]
    one = crops(front[None], np.zeros(1, np.int64))
    both = crops(np.stack([front, back]), np.zeros(2, np.int64), np.array([0.8**4, 0.6**4], np.float32))
    both = replace(both, clear=np.array([True, False]))
    # Means: (1, 0) and (.8, .6). Crops: forth 1; back 1 and 0 by 8 to 6.
    expected = (0.8 + (1 + 0.8 / 1.4) / 2) / 2
    assert likenesses(one, both) == pytest.approx([expected], abs=1e-6)
    together = concatenated([one, replace(both, track_ids=both.track_ids + 1)])
    assert among(together)[0, 1] == pytest.approx(expected, abs=1e-6)


def test_crops_without_any_quality_still_give_a_likeness() -> None:
    track = tracks(np.eye(DIMENSION)[:2], qualities=np.zeros(6, np.float32))
    assert np.isfinite(likenesses(track.only(0), track)).all()
    assert likenesses(track.only(0), track)[0] > 0.9


def test_there_is_no_likeness_with_nobody() -> None:
    nobody = tracks(np.zeros((0, DIMENSION)))
    assert likenesses(tracks(np.eye(DIMENSION)[:1]), nobody).shape == (0,)
    assert all_likenesses([nobody], np.zeros(DIMENSION, np.float32), 0.9).shape == (0, 0)


def test_what_is_left_of_a_vector_is_a_unit_vector() -> None:
    vectors = unit(RANDOM.normal(size=(5, DIMENSION)))
    np.testing.assert_allclose(np.linalg.norm(without(vectors, vectors[0]), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("look", [(), (0.1, float("nan"))])
def test_a_mean_look_must_be_numbers(look: tuple[float, ...]) -> None:
    line = Calibration((-1.0, 1.0), (0.0, 1.0), "a line", 8, 8)
    with pytest.raises(InvalidInput, match="mean look"):
        Matching(SETS, look, line)


def test_neighbours_of_neighbours_lift_a_hard_pair() -> None:
    # Five pictures of one person turn from 0 to 64 degrees; another person stands at 64 degrees to the other side.
    turn = np.radians([0, 16, 32, 48, 64, -60, -76, -92])
    vectors = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    plain = vectors @ vectors.T
    assert plain[0, 5] > plain[0, 4]
    better = reranked(plain, nearest=3, expanded=2)
    assert better[0, 4] > better[0, 5]
    assert (better.argmax(axis=1) == np.arange(8)).all()


def test_in_blocks_the_likeness_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    person, others = (
        tracks(RANDOM.normal(size=(5, DIMENSION))),
        tracks(RANDOM.normal(size=(40, DIMENSION)), crops_each=4),
    )
    whole = likenesses(person, others)
    for cosines in (1, 15 * 9, 15 * 4 * 7, 10_000):
        monkeypatch.setattr("throughline.domain.likeness._COSINES_AT_ONCE", cosines)
        np.testing.assert_allclose(likenesses(person, others), whole, atol=1e-7)


def test_a_few_crops_are_compared_with_all_of_a_camera_at_once() -> None:
    person, others = tracks(RANDOM.normal(size=(10, DIMENSION))), tracks(RANDOM.normal(size=(4_000, DIMENSION)))
    starts = np.unique(others.track_ids, return_index=True)[1]
    assert len(list(_blocks(person, others, starts))) == 1


def test_however_many_were_confirmed_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("throughline.domain.likeness._COSINES_AT_ONCE", 2**17)
    person, others = tracks(RANDOM.normal(size=(150, DIMENSION))), tracks(RANDOM.normal(size=(4_000, DIMENSION)))
    tracemalloc.start()
    likenesses(person, others)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20, "all cosines at once are 41 MiB"
