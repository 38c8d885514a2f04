"""tracks.csv as this and other tools write it: one row a box, with or without a header."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import chain, islice
from pathlib import Path
from typing import TextIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput
from throughline.domain.geometry import Boxes
from throughline.perception.detect import PERSON
from throughline.tracker.identities.cells import cell_text

T = TypeVar("T")
Line = tuple[int, list[str]]
"""Number of a line and its cells."""

_LARGEST = 2**53
_LARGEST_FRAME = 2**36
_LONGEST_LINE = 2**16
_COMMENT = "#"
_BLOCK = 65_536
"""Lines that are text in memory at once."""
_NAMES: Mapping[str, tuple[str, ...]] = {
    "frame": (
        "frame",
        "frame_id",
        "frame_idx",
        "frame_index",
        "frame_no",
        "frame_num",
        "frame_number",
        "frameid",
        "framenumber",
    ),
    "time_ns": ("time_ns", "timestamp_ns", "t_ns"),
    "seconds": ("time", "time_s", "time_sec", "timestamp", "timestamp_s", "timestamp_sec", "seconds", "t"),
    "track": ("track_id", "track", "trackid", "tracker_id", "id", "object_id", "obj_id", "tid", "target_id"),
    "class": ("class", "class_name", "label", "category", "cls", "cls_name", "name", "object_class"),
    "class_id": ("class_id", "cls_id", "category_id", "classid"),
    "score": ("score", "conf", "confidence", "det_conf", "prob", "probability"),
    "left": ("left", "x1", "xmin", "x_min", "bb_left", "bbox_left", "bbox_x1", "x_left"),
    "top": ("top", "y1", "ymin", "y_min", "bb_top", "bbox_top", "bbox_y1", "y_top"),
    "right": ("right", "x2", "xmax", "x_max", "bbox_right", "bbox_x2", "bb_right", "x_right"),
    "bottom": ("bottom", "y2", "ymax", "y_max", "bbox_bottom", "bbox_y2", "bb_bottom", "y_bottom"),
    "width": ("width", "w", "bb_width", "bbox_width", "bbox_w"),
    "height": ("height", "h", "bb_height", "bbox_height", "bbox_h"),
    "x": ("x", "bbox_x"),
    "y": ("y", "bbox_y"),
    "centre_x": ("cx", "xc", "x_center", "x_centre", "center_x"),
    "centre_y": ("cy", "yc", "y_center", "y_centre", "center_y"),
}
"""Names of columns by what they mean, in the order in which they are looked for."""
_BOXES = (
    {"left", "top", "right", "bottom"},
    {"left", "top", "width", "height"},
    {"centre_x", "centre_y", "width", "height"},
)
"""Columns that make a box."""
_MOT = ("frame", "track", "left", "top", "width", "height", "score", "class_id")
_CORNERS = ("frame", "track", "left", "top", "right", "bottom", "score", "class_id")
"""Columns without a header."""
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class BoxRows:
    """Rows of a tracks.csv, in order of (track, frame).

    frames: (n,) int64 from 0; times_ns: (n,) int64, or None where the file gives none; track_ids: (n,) int64; boxes: (n, 4) float32
    xyxy, pixels of the upright frame; scores: (n,) float32; classes: n names.
    """

    frames: NDArray[np.int64]
    times_ns: NDArray[np.int64] | None
    track_ids: NDArray[np.int64]
    boxes: Boxes
    scores: NDArray[np.float32]
    classes: tuple[str, ...]


def read_rows(path: Path, class_names: Sequence[str] = (), *, corners: bool = False) -> BoxRows:
    """Read a file. `class_names`: of numbered classes; `corners`: without a header boxes are left,top,right,bottom.

    Raise InvalidInput with file, line and column where something is wrong.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            delimiter = _delimiter(file)
            file.seek(0)
            lines = _lines(path, file, delimiter)
            return _parsed(path, lines, class_names, _CORNERS if corners else _MOT)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no text in UTF-8: {error}; save it as CSV in UTF-8") from error


def _delimiter(file: TextIO) -> str:
    """The sign that stands most often in the first line that is no comment."""
    first = ""
    while (not first or first.startswith(_COMMENT)) and (line := file.readline(_LONGEST_LINE)):
        first = line.strip()
    return max(",;\t ", key=lambda sign: (first.count(sign), sign == ","))


def _lines(path: Path, file: Iterator[str], delimiter: str) -> Iterator[Line]:
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row) and not row[0].lstrip().startswith(_COMMENT):
                yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise InvalidInput(f"{path}, line {reader.line_num}: {error}; save it as CSV") from error


def _parsed(path: Path, lines: Iterator[Line], class_names: Sequence[str], names: Sequence[str]) -> BoxRows:
    first = next(lines, None)
    if first is None:
        return _together([])
    if _NUMBER.fullmatch(first[1][0]):  # no header begins with a number
        columns, first_frame, lines = _nameless(path, first, names), 1, chain([first], lines)
    else:
        columns, first_frame = _columns(path, first), 0
    blocks = []
    while block := list(islice(lines, _BLOCK)):
        blocks.append(_rows(_Table(path, columns, block), class_names, first_frame))
    return _together(blocks)


def _together(blocks: Sequence[BoxRows]) -> BoxRows:
    """All blocks as one, in order of (track, frame), without detections of no track."""
    none = np.zeros(0, np.int64)
    ids = np.concatenate([none, *(block.track_ids for block in blocks)])
    frames = np.concatenate([none, *(block.frames for block in blocks)])
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(block.boxes for block in blocks)])
    scores = np.concatenate([np.zeros(0, np.float32), *(block.scores for block in blocks)])
    times = [block.times_ns for block in blocks if block.times_ns is not None]
    classes = [name for block in blocks for name in block.classes]
    kept = np.flatnonzero(ids >= 0)
    order = kept[np.lexsort((frames[kept], ids[kept]))]
    return BoxRows(
        frames[order],
        np.concatenate(times)[order] if times else None,
        ids[order],
        boxes[order],
        scores[order],
        tuple(classes[at] for at in order.tolist()),
    )


def _nameless(path: Path, line: Line, names: Sequence[str]) -> dict[str, int]:
    if len(line[1]) < 6:
        raise InvalidInput(
            f"{path}, line {line[0]}: {len(line[1])} columns without a header; expected frame,id,left,top,width,height[,conf,class]"
        )
    return {name: place for place, name in enumerate(names[: len(line[1])])}


def _columns(path: Path, header: Line) -> dict[str, int]:
    """Where each column is, by what it means; the first of its names that is there counts."""
    given = [re.sub(r"[^a-z0-9]+", "_", cell.lower()).strip("_") for cell in header[1]]
    found: dict[str, int] = {}
    for meaning, names in _NAMES.items():
        for name in names:
            if meaning not in found and name in given:
                found[meaning] = given.index(name)
    if "left" not in found and {"x", "y"} <= found.keys():
        found |= {"left": found["x"], "top": found["y"]}
    has_box = any(way <= found.keys() for way in _BOXES)
    wanted = {"frame": "frame" in found, "track_id": "track" in found, "left,top,right,bottom": has_box}
    missing = [what for what, is_there in wanted.items() if not is_there]
    if missing:
        raise InvalidInput(
            f"{path}, line {header[0]}: no column for {' and '.join(missing)} among {', '.join(header[1])}; name one so"
        )
    return found


@dataclass(frozen=True)
class _Table:
    """Lines of a file with their numbers, and where which column is."""

    path: Path
    columns: dict[str, int]
    lines: list[Line]

    def has(self, name: str) -> bool:
        return name in self.columns

    def read(self, name: str, parse: Callable[[str], T]) -> list[T]:
        """A column; raise InvalidInput where `parse`, whose docstring says what it takes, raises ValueError, or a line is too short."""
        place = self.columns[name]
        values = []
        for number, cells in self.lines:
            if place >= len(cells):
                raise InvalidInput(
                    f"{self.path}, line {number}: column {place + 1} ({name}) is missing; the line has {len(cells)}"
                )
            try:
                values.append(parse(cells[place]))
            except (ValueError, InvalidOperation, OverflowError) as error:
                raise InvalidInput(
                    f"{self.path}, line {number}, column {place + 1} ({name}): {cells[place]!r} is not {parse.__doc__}"
                ) from error
        return values

    def floats(self, name: str) -> NDArray[np.float32]:
        """A column of numbers."""
        return np.array(self.read(name, _finite), np.float32)


def _whole(text: str) -> int:
    """a whole number"""
    value = Decimal(text)
    if value != value.to_integral_value() or abs(value) > 2**63 - 1:
        raise ValueError(text)
    return int(value)


def _finite(text: str) -> float:
    """a finite number"""
    value = float(text)
    if not abs(value) < _LARGEST:
        raise ValueError(text)
    return value


def _nanoseconds(text: str) -> int:
    """a time in seconds, MM:SS or HH:MM:SS"""
    total = Decimal(0)
    for part in text.split(":"):
        total = total * 60 + Decimal(part)
    if not total.is_finite() or abs(total) > 2**33:
        raise ValueError(text)
    return int((total * 10**9).to_integral_value())


def _rows(table: _Table, class_names: Sequence[str], first_frame: int) -> BoxRows:
    """The rows of some lines, as they come."""
    frames = np.array(table.read("frame", _whole), np.int64) - first_frame
    ids = np.array(table.read("track", _whole), np.int64)
    boxes = _boxes(table)
    wrong = (frames < 0) | (frames > _LARGEST_FRAME) | (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    if wrong.any():
        at = int(wrong.argmax())
        what = "the box has no area"
        if not 0 <= frames[at] <= _LARGEST_FRAME:
            where = "before the first" if frames[at] < 0 else f"after frame {_LARGEST_FRAME}"
            what = f"frame {frames[at] + first_frame} is {where}"
        raise InvalidInput(f"{table.path}, line {table.lines[at][0]}: {what}; correct or remove the line")
    times = None
    for name, parse in (("seconds", _nanoseconds), ("time_ns", _whole)):
        if table.has(name):
            times = np.array(table.read(name, parse), np.int64)
    scores: NDArray[np.float32] = np.ones(len(ids), np.float32)
    if table.has("score"):
        scores = table.floats("score")
    scores[scores < 0] = 1  # MOT's -1: not given
    return BoxRows(frames, times, ids, boxes, scores, tuple(_classes(table, class_names)))


def _boxes(table: _Table) -> Boxes:
    if table.has("left") and table.has("right"):
        return np.stack([table.floats(name) for name in ("left", "top", "right", "bottom")], axis=1)
    size = np.stack([table.floats("width"), table.floats("height")], axis=1)
    if table.has("left"):
        corner = np.stack([table.floats("left"), table.floats("top")], axis=1)
    else:
        corner = np.stack([table.floats("centre_x"), table.floats("centre_y")], axis=1) - size * np.float32(0.5)
    return np.concatenate([corner, corner + size], axis=1)


def _classes(table: _Table, class_names: Sequence[str]) -> list[str]:
    """Names of classes; a number without a name is `class <number>`, a negative one, as in MOT, or none at all is a person."""
    column = next((name for name in ("class", "class_id") if table.has(name)), None)
    if column is None:
        return [PERSON] * len(table.lines)

    def named(text: str) -> str:
        """a class"""
        if not _NUMBER.fullmatch(text):
            return cell_text(text) or PERSON
        number = int(float(text))
        if number < 0:
            return PERSON
        return class_names[number] if number < len(class_names) else f"class {number}"

    names: dict[str, str] = {}
    return [names.setdefault(name, name) for name in table.read(column, named)]
