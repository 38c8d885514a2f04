from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.models.weights import CLASSES, tiny_detector, tiny_reid
from throughline.domain.errors import FailedPrecondition, InvalidInput
from throughline.domain.likeness import SETS
from throughline.domain.tracks import TrackEmbeddings
from throughline.models.build import build_detector, build_reid
from throughline.models.calibrate import LabelledCamera, calibrate, calibrate_on_pairs, cosine_pairs, kept_cosines
from throughline.models.repository import check_digest
from throughline.perception.triton.card import ModelCard


def tracks(vectors: np.ndarray, numbers: np.ndarray) -> TrackEmbeddings:
    n = len(numbers)
    return TrackEmbeddings(vectors, numbers, np.zeros(n, np.int64), np.ones(n, np.float32), np.ones(n, bool), ())


def _place(people: int = 12, cameras: int = 3) -> list[LabelledCamera]:
    """A track of three crops a person and camera, near to each other for one person; one more in each camera of nobody known."""
    random = np.random.default_rng(3)
    looks = random.normal(size=(people, 32))
    place = []
    for _ in range(cameras):
        vectors = (
            np.concatenate([np.repeat(looks, 3, axis=0), random.normal(size=(3, 32))]) + random.normal(size=32) / 2
        )
        vectors += 0.4 * random.normal(size=vectors.shape)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        numbers = np.repeat(np.arange(people + 1), 3)
        embeddings = tracks(vectors.astype(np.float32), numbers)
        place.append(LabelledCamera(embeddings, {number: f"person {number}" for number in range(people)}))
    return place


def test_a_calibration_from_labelled_tracks_stands_in_the_card(tmp_path: Path) -> None:
    built = build_reid(tiny_reid(tmp_path / "tiny.onnx"), tmp_path)
    card = calibrate(tmp_path / "reid", [_place()], "twelve made-up people")
    assert card == ModelCard.read(tmp_path / "reid") == check_digest(tmp_path / "reid")
    assert card.digest == built.digest
    assert card.calibration is not None
    assert (card.calibration.n_same, card.calibration.n_different) == (12 * 3, 12 * 11 * 3)
    low, high = card.calibration.apply(np.array([0.1, 0.9]))
    assert low < 0.1
    assert high > 0.9
    assert card.matching is not None
    assert (card.matching.likeness, len(card.matching.mean_look)) == (SETS, 32)
    assert card.matching.calibration.n_same == 12 * 3
    assert card.model_dump_json() in (tmp_path / "reid/configs/cpu.pbtxt").read_text().replace('\\"', '"').replace(
        "\\'", "'"
    )


def test_the_calibration_of_cosines_can_be_kept(tmp_path: Path) -> None:
    build_reid(tiny_reid(tmp_path / "tiny.onnx"), tmp_path)
    with pytest.raises(FailedPrecondition, match="no calibration of cosines"):
        kept_cosines(tmp_path / "reid")
    first = calibrate(tmp_path / "reid", [_place()], "first")
    second = calibrate(tmp_path / "reid", [_place(people=9)], "second", kept_cosines(tmp_path / "reid"))
    assert second.calibration == first.calibration
    assert second.matching is not None
    assert second.matching.calibration.fitted_on == "second"


def test_cosines_alone_take_the_calibration_of_sets_away(tmp_path: Path) -> None:
    build_reid(tiny_reid(tmp_path / "tiny.onnx"), tmp_path)
    calibrate(tmp_path / "reid", [_place()], "people")
    cosines = np.concatenate([np.linspace(0.5, 1, 20), np.linspace(-0.2, 0.6, 20)])
    assert calibrate_on_pairs(tmp_path / "reid", cosines, np.arange(40) < 20, "pairs").matching is None


def test_pairs_are_of_labelled_tracks_across_cameras() -> None:
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    door, till = tracks(vectors[:1], np.array([7])), tracks(vectors[1:], np.array([1, 2, 3]))
    cosines, same = cosine_pairs([LabelledCamera(door, {7: "a"}), LabelledCamera(till, {1: "a", 2: "b"})])
    assert cosines.tolist() == [1, 0]
    assert same.tolist() == [True, False]


def test_a_detector_is_not_calibrated(tmp_path: Path) -> None:
    build_detector(tiny_detector(tmp_path / "tiny.onnx"), tmp_path, class_names=CLASSES)
    with pytest.raises(InvalidInput, match="only ReID models"):
        calibrate(tmp_path / "detector", [_place()], "people")
