from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from throughline.domain.errors import InvalidInput
from throughline.models.labelled import LabelledFrame, average_precision, read_labelled

NOBODY = np.empty((0, 4), np.float32)


def _picture(path: Path, rgb: tuple[int, int, int] = (10, 20, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((4, 6, 3), rgb[::-1], np.uint8))


def _coco(file: Path, **changes: object) -> None:
    """Person 1, 2 and a crowd in picture 7, a bag in 8; picture 9 has no file."""
    content = {
        "categories": [{"id": 5, "name": "person"}, {"id": 6, "name": "bag"}],
        "images": [
            {"id": 7, "file_name": "a.png"},
            {"id": 8, "file_name": "somewhere/else/b.png"},
            {"id": 9, "file_name": "gone.png"},
        ],
        "annotations": [
            {"image_id": 7, "category_id": 5, "bbox": [1, 2, 3, 4]},
            {"image_id": 7, "category_id": 5, "bbox": [10.5, 20, 5, 6], "iscrowd": 0},
            {"image_id": 7, "category_id": 5, "bbox": [0, 0, 50, 60], "iscrowd": 1},
            {"image_id": 8, "category_id": 6, "bbox": [1, 1, 1, 1]},
        ],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content | changes))


def test_cocos_people_are_read_with_crowds_neither_right_nor_wrong(tmp_path: Path) -> None:
    _coco(tmp_path / "annotations.json")
    (tmp_path / "settings.json").write_text("[1, 2]")
    _picture(tmp_path / "pictures" / "a.png")
    _picture(tmp_path / "pictures" / "b.png")
    first, second = read_labelled(tmp_path)
    assert [first.path.name, second.path.name] == ["a.png", "b.png"]
    assert first.people.tolist() == [[1, 2, 4, 6], [10.5, 20, 15.5, 26]]
    assert first.ignored.tolist() == [[0, 0, 50, 60]]
    assert second.people.shape == second.ignored.shape == (0, 4)


def test_mots_people_are_read_without_what_is_not_to_be_judged(tmp_path: Path) -> None:
    table = tmp_path / "street" / "gt" / "gt.txt"
    table.parent.mkdir(parents=True)
    rows = ["1,1,1,2,3,4,1,1,1", "1,2,5,5,5,5,0,1,1", "1,3,7,7,2,2,1,7,1", "1,4,9,9,2,2,1,3,1"]
    table.write_text("\n".join(rows))  # a person, one that is not to be judged, one standing still, a car
    _picture(tmp_path / "street" / "img1" / "000001.jpg")
    _picture(tmp_path / "street" / "img1" / "000002.jpg")
    first, second = read_labelled(tmp_path)
    assert first.people.tolist() == [[1, 2, 4, 6]]
    assert first.ignored.tolist() == [[7, 7, 9, 9]]
    assert len(second.people) == 0


def test_pictures_are_upright_rgb_and_broken_ones_are_named(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png", (200, 100, 50))
    frame = LabelledFrame(tmp_path / "a.png", NOBODY, NOBODY)
    assert frame.picture().shape == (4, 6, 3)
    assert frame.picture()[0, 0].tolist() == [200, 100, 50]
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(InvalidInput, match=r"b\.png cannot be read"):
        LabelledFrame(tmp_path / "b.png", NOBODY, NOBODY).picture()


def test_a_folder_without_labels_says_what_is_expected(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png")
    with pytest.raises(InvalidInput, match=r"gt/gt\.txt beside img1/, or COCO's JSON"):
        read_labelled(tmp_path)


def test_a_limit_takes_frames_evenly(tmp_path: Path) -> None:
    _coco(tmp_path / "labels.json", images=[{"id": k, "file_name": f"{k}.png"} for k in range(10)], annotations=[])
    for k in range(10):
        _picture(tmp_path / f"{k}.png")
    assert [frame.path.stem for frame in read_labelled(tmp_path, limit=5)] == ["0", "2", "4", "6", "8"]


@pytest.mark.parametrize(
    ("boxes", "scores", "expected"),
    [
        ([[0, 0, 10, 10], [20, 0, 30, 10]], [0.9, 0.8], 1.0),  # both people
        ([[0, 0, 10, 10]], [0.9], 0.5),  # one of two
        ([[0, 0, 10, 10], [0, 0, 10, 10]], [0.9, 0.8], 0.5),  # the same person twice: the second is wrong
        ([[50, 50, 60, 60], [0, 0, 10, 10], [20, 0, 30, 10]], [0.9, 0.8, 0.7], 2 / 3),  # a wrong one first
        ([[80, 80, 90, 90], [0, 0, 10, 10], [20, 0, 30, 10]], [0.9, 0.8, 0.7], 1.0),  # in a crowd: does not count
        ([], [], 0.0),
    ],
)
def test_average_precision_on_tables(boxes: list[list[float]], scores: list[float], expected: float) -> None:
    people = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
    frame = LabelledFrame(Path("x.png"), people, np.array([[80, 80, 90, 90]], np.float32))
    found = (np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32))
    assert average_precision([found], [frame]) == pytest.approx(expected)
