"""Every kind of head, on weights that always give the same boxes, through ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tests.models.weights import constant_head
from throughline.domain.errors import InvalidInput
from throughline.models.build import build_detector
from throughline.models.runtime import run_onnx
from throughline.perception.triton.card import ModelCard

NAMES = ("person", "trolley", "shelf")
CELLS = 84  # of 64x64 pictures with strides 8, 16 and 32
PERSON, TROLLEY = (10.0, 8.0, 30.0, 56.0), (36.0, 30.0, 60.0, 50.0)
"""Left, top, right and bottom of what every head of these tests says it sees, with 0.9 and 0.6."""


def _centre(box: tuple[float, ...]) -> list[float]:
    left, top, right, bottom = box
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


def _built(
    weights: Path, folder: Path, names: tuple[str, ...] = NAMES
) -> tuple[ModelCard, dict[str, NDArray[np.float32]]]:
    """The card, and what the built model gives for two pictures at once."""
    card = build_detector(weights, folder, class_names=names, max_boxes=10)
    model = onnx.load(str(folder / "detector" / "1" / "model.onnx"))
    (given,) = run_onnx(model, [np.zeros((2, 64, 64, 3), np.uint8)])
    return card, dict(given)


def _check(given: dict[str, NDArray[np.float32]], tolerance: float = 1e-3) -> None:
    assert given["count"].ravel().tolist() == [2, 2]
    for picture in range(2):
        np.testing.assert_allclose(given["boxes"][picture, :2], [PERSON, TROLLEY], atol=tolerance)
        np.testing.assert_allclose(given["scores"][picture, :3], [0.9, 0.6, 0], atol=1e-4)
        assert given["classes"][picture, :2].tolist() == [0, 1]


def _yolo_rows(*, logits: bool = False) -> NDArray[np.float32]:
    rows = np.full((CELLS, 4 + len(NAMES)), 0.001, np.float32)
    rows[:, :4] = (32, 32, 4, 4)
    rows[5, :4], rows[5, 4] = _centre(PERSON), 0.9
    rows[50, :4], rows[50, 5] = _centre(TROLLEY), 0.6
    if logits:
        rows[:, 4:] = np.log(rows[:, 4:] / (1 - rows[:, 4:]))
    return rows


@pytest.mark.parametrize(("channels_first", "logits", "batch"), [(True, False, 1), (False, True, None)])
def test_yolo_heads_without_objectness(tmp_path: Path, channels_first: bool, logits: bool, batch: int | None) -> None:
    rows = _yolo_rows(logits=logits)
    weights = constant_head(tmp_path / "w.onnx", rows.T.copy() if channels_first else rows, batch=batch)
    card, given = _built(weights, tmp_path)
    assert (card.build["head"], card.build["logits"], card.build["colours"]) == ("yolo", logits, "rgb")
    _check(given)


def test_end_to_end_heads_with_any_number_of_rows(tmp_path: Path) -> None:
    rows = np.array([[*PERSON, 0.9, 0], [*TROLLEY, 0.6, 1], [*PERSON, 0.8, 2], *[[0] * 6] * 6], np.float32)
    card, given = _built(constant_head(tmp_path / "w.onnx", rows, rows=False), tmp_path)
    assert card.build["head"] == "end-to-end"
    assert card.class_names == ("person", "trolley")
    _check(given)


def test_boxes_of_end_to_end_heads_are_not_suppressed_again(tmp_path: Path) -> None:
    near = (PERSON[0] + 1, *PERSON[1:])
    rows = np.array([[*PERSON, 0.9, 0], [*near, 0.8, 0], *[[0] * 6] * 6], np.float32)
    _, given = _built(constant_head(tmp_path / "w.onnx", rows), tmp_path)
    assert given["count"].ravel().tolist() == [2, 2]


def test_ssd_heads_count_classes_from_1_and_end_with_a_picture_of_minus_1(tmp_path: Path) -> None:
    person, trolley = ([each / 64 for each in box] for box in (PERSON, TROLLEY))
    rows = [[0, 1, 0.9, *person], [0, 2, 0.6, *trolley], [-1, 1, 0.7, *person], *[[0.0] * 7] * 5]
    card, given = _built(constant_head(tmp_path / "w.onnx", np.array([rows], np.float32)), tmp_path)
    assert (card.build["head"], card.build["one_at_a_time"]) == ("ssd", True)
    _check(given)


@pytest.mark.parametrize(("strides", "centre"), [((8, 16, 32, 64), 0.0), ((8, 16, 32), 0.5)])
def test_nanodet_heads_with_distributions_of_distances(tmp_path: Path, strides: tuple[int, ...], centre: float) -> None:
    bins = 8
    points = [
        ((x + centre) * stride, (y + centre) * stride, stride)
        for stride in strides
        for y in range(64 // stride)
        for x in range(64 // stride)
    ]
    rows = np.zeros((len(points), len(NAMES) + 4 * bins), np.float32)
    rows[:, : len(NAMES)] = 0.001
    for box, number, score in ((PERSON, 0, 0.9), (TROLLEY, 1, 0.6)):
        cell = next(
            i for i, (x, y, s) in enumerate(points) if box[0] <= x <= box[2] and box[1] <= y <= box[3] and s == 8
        )
        x, y, stride = points[cell]
        rows[cell, number] = score
        for side, away in enumerate((x - box[0], y - box[1], box[2] - x, box[3] - y)):
            low, share = divmod(away / stride, 1)
            logits = np.full(bins, -30.0)
            logits[int(low)] = np.log(max(1 - share, 1e-9))
            logits[int(low) + 1] = np.log(max(share, 1e-9))
            rows[cell, len(NAMES) + side * bins : len(NAMES) + (side + 1) * bins] = logits
    card, given = _built(constant_head(tmp_path / "w.onnx", rows, batch=None), tmp_path)
    assert (card.build["head"], card.build["colours"], card.build["mean"]) == (
        "nanodet",
        "bgr",
        "103.53, 116.28, 123.675",
    )
    _check(given, tolerance=0.01)


def test_what_is_no_head_is_refused_with_what_was_seen(tmp_path: Path) -> None:
    weights = constant_head(tmp_path / "w.onnx", np.zeros((10, 17), np.float32))
    with pytest.raises(InvalidInput, match=r"an output node\d+ \(1, 10, 17\) for 64x64 pictures; what fits is YOLOX's"):
        build_detector(weights, tmp_path)
    with pytest.raises(InvalidInput, match=r"has 3 classes, but 2 names are given"):
        build_detector(
            constant_head(tmp_path / "y.onnx", _yolo_rows().T.copy()), tmp_path, class_names=("person", "shelf")
        )
