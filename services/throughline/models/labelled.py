"""Frames with labelled people, from a folder in MOT's or COCO's layout, and the average precision of detections on them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput
from throughline.domain.geometry import iou_matrix

_PERSON = 1
_LIKE_PEOPLE = (2, 7, 8, 12)
"""MOT's people on vehicles, standing still, distractors and reflections: neither right nor wrong."""
_OVERLAP = 0.5


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """A picture's file, its people and what may be taken for such: (n, 4) float32, xyxy, pixels."""

    path: Path
    people: NDArray[np.float32]
    ignored: NDArray[np.float32]

    def picture(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 RGB. Raises InvalidInput where it cannot be read."""
        pixels = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if pixels is None:
            raise InvalidInput(f"{self.path} cannot be read as a picture")
        return np.ascontiguousarray(pixels[..., ::-1], np.uint8)


def read_labelled(folder: Path, limit: int | None = None) -> list[LabelledFrame]:
    """All labelled frames below `folder`, or `limit` of them evenly spread. Raises InvalidInput where there are none."""
    frames = [*_mot(folder), *_coco(folder)]
    if not frames:
        raise InvalidInput(
            f"no labelled frames below {folder}; expected MOT's <sequence>/gt/gt.txt beside img1/, or COCO's JSON beside its pictures"
        )
    step = max(1, -(-len(frames) // limit)) if limit else 1
    return frames[::step]


def average_precision(
    found: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], frames: Sequence[LabelledFrame]
) -> float:
    """AP at IoU 0.5, area under the interpolated curve of precision, of boxes (n, 4) and scores (n,) for each frame."""
    rows = [row for (boxes, scores), frame in zip(found, frames, strict=True) for row in _judged(boxes, scores, frame)]
    rows.sort(key=lambda row: -row[0])
    right = np.cumsum([row[1] for row in rows])
    total = sum(len(frame.people) for frame in frames)
    if not rows or not total:
        return 0.0
    precision = np.maximum.accumulate((right / np.arange(1, len(rows) + 1))[::-1])[::-1]
    return float(np.sum(np.diff(right / total, prepend=0.0) * precision))


def _judged(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], frame: LabelledFrame
) -> Iterator[tuple[float, bool]]:
    """Score and rightness of each box that counts; each person is found once, by the best box."""
    overlaps, beside = iou_matrix(boxes, frame.people), iou_matrix(boxes, frame.ignored)
    free = np.ones(len(frame.people), bool)
    for row in np.argsort(-scores, kind="stable"):
        open_ones = np.where(free, overlaps[row], 0.0)
        best = int(open_ones.argmax()) if len(open_ones) else -1
        if best >= 0 and open_ones[best] >= _OVERLAP:
            free[best] = False
            yield float(scores[row]), True
        elif beside[row].max(initial=0.0) < _OVERLAP:
            yield float(scores[row]), False


def _mot(folder: Path) -> Iterator[LabelledFrame]:
    for table in sorted(folder.rglob("gt/gt.txt")):
        rows = np.atleast_2d(np.loadtxt(table, delimiter=","))
        pictures = {int(path.stem): path for path in (table.parents[1] / "img1").iterdir() if path.stem.isdecimal()}
        for number, path in sorted(pictures.items()):
            here = rows[rows[:, 0] == number]
            people = here[(here[:, 6] > 0) & (here[:, 7] == _PERSON)]
            yield LabelledFrame(
                path, _corners(people[:, 2:6]), _corners(here[np.isin(here[:, 7], _LIKE_PEOPLE)][:, 2:6])
            )


def _coco(folder: Path) -> Iterator[LabelledFrame]:
    for file in sorted(folder.rglob("*.json")):
        content = json.loads(file.read_text())
        if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
            continue
        person = {each["id"] for each in content["categories"] if each["name"] == "person"}
        boxes: dict[int, list[list[float]]] = defaultdict(list)
        crowds: dict[int, list[list[float]]] = defaultdict(list)
        for each in content["annotations"]:
            if each["category_id"] in person:
                (crowds if each.get("iscrowd") else boxes)[each["image_id"]].append(each["bbox"])
        for image in content["images"]:
            path = next((each for each in file.parent.rglob(Path(image["file_name"]).name)), None)
            if path is not None:
                key = image["id"]
                yield LabelledFrame(path, _corners(np.array(boxes[key])), _corners(np.array(crowds[key])))


def _corners(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Left, top, width, height -> xyxy."""
    rows = rows.reshape(-1, 4)
    return np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1).astype(np.float32)
