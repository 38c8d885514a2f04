from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.models.weights import CLASSES, tiny_detector, tiny_reid
from throughline.domain.errors import InvalidInput
from throughline.models.build import build_detector, build_reid
from throughline.models.calibrate import calibrate, labelled_pairs
from throughline.models.repository import check_digest
from throughline.perception.triton.card import ModelCard


def _tracks(people: int = 12, cameras: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Descriptors (n, 32) of one track a person and camera, near to each other for one person."""
    random = np.random.default_rng(3)
    identities, seen_by = np.repeat(np.arange(people), cameras), np.tile(np.arange(cameras), people)
    vectors = random.normal(size=(people, 32))[identities] + 0.4 * random.normal(size=(people * cameras, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), identities, seen_by


def test_a_calibration_from_labelled_tracks_stands_in_the_card(tmp_path: Path) -> None:
    built = build_reid(tiny_reid(tmp_path / "tiny.onnx"), tmp_path)
    card = calibrate(tmp_path / "reid", *_tracks(), fitted_on="twelve made-up people")
    assert card == ModelCard.read(tmp_path / "reid") == check_digest(tmp_path / "reid")
    assert card.digest == built.digest
    assert card.calibration is not None
    assert (card.calibration.n_same, card.calibration.n_different) == (12 * 3, 12 * 11 * 3)
    low, high = card.calibration.apply(np.array([0.1, 0.9]))
    assert low < 0.1
    assert high > 0.9
    assert card.model_dump_json() in (tmp_path / "reid/configs/cpu.pbtxt").read_text().replace('\\"', '"').replace(
        "\\'", "'"
    )


def test_pairs_are_those_across_cameras() -> None:
    embeddings = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    cosines, same = labelled_pairs(embeddings, np.array(["a", "a", "b"]), np.array(["door", "till", "till"]))
    assert cosines.tolist() == [1, 0]
    assert same.tolist() == [True, False]


def test_a_detector_is_not_calibrated(tmp_path: Path) -> None:
    build_detector(tiny_detector(tmp_path / "tiny.onnx"), tmp_path, class_names=CLASSES)
    with pytest.raises(InvalidInput, match="only ReID models"):
        calibrate(tmp_path / "detector", *_tracks(), fitted_on="people")
