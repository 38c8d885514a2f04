"""Tells what a detector's output means by its shape and by what it gives for test pictures; never by the file's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from throughline.models import coco
from throughline.models.weights import Weights, shown

Raw = Sequence[NDArray[np.float32]]
"""The output for each test picture, each with a batch axis of 1."""

YOLO_STRIDES = (8, 16, 32)
NANODET_STRIDES = (8, 16, 32, 64)
_ANCHORS = 3
_MOST_ROWS = 1000
"""Rows kept of an output without a fixed number of them."""
FITS = (
    "YOLOX's (n, cells, 5 + classes), decoded or not; YOLO's (n, 4 + classes, cells) or (n, cells, 4 + classes); an end-to-end head's "
    "(n, boxes, 6) with left, top, right, bottom, score, class; SSD's (1, 1, boxes, 7); NanoDet's (n, cells, classes + 4 x bins)"
)


@dataclass(frozen=True, slots=True)
class Head:
    """How a detector's output is read.

    `rows` are its boxes; those of `yolox` and `nanodet` belong to the cells of `strides`. `decoded`: gives pixels rather than offsets
    to cells; `logits`: scores go through a sigmoid; `normalised`: coordinates are shares of the picture; `centre`: where in its cell
    a NanoDet's distances start; `first_class`: number of the first of `class_names`.
    """

    kind: Literal["yolox", "yolo", "end-to-end", "ssd", "nanodet"]
    rows: int
    class_names: tuple[str, ...]
    strides: tuple[int, ...] = YOLO_STRIDES
    channels_first: bool = False
    decoded: bool = True
    logits: bool = False
    normalised: bool = False
    centre: float = 0.0
    bins: int = 0
    first_class: int = 0
    fixed: bool = True

    def described(self) -> dict[str, str | int | float | bool]:
        """For the card."""
        return {"head": self.kind, "decoded": self.decoded, "logits": self.logits, "normalised": self.normalised}


def cell_grid(
    height: int, width: int, strides: Sequence[int] = YOLO_STRIDES
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Left top corner of each cell, (cells, 2) in cells, and its stride, (cells, 1) in pixels, in the order of YOLOX's output."""
    corners, sizes = [], []
    for stride in strides:
        y, x = np.mgrid[: -(-height // stride), : -(-width // stride)]
        corners.append(np.stack([x.ravel(), y.ravel()], axis=1))
        sizes.append(np.full((x.size, 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(sizes).astype(np.float32)


def recognise(weights: Weights, raw: Raw, names: tuple[str, ...]) -> Head:
    """The head of `weights`, which gave `raw`. `names` of its classes; without any, 80 classes are taken for COCO's.

    Raises InvalidInput, with what was seen and what would fit, where it is none of those that are known.
    """
    shape = raw[0].shape
    for reading in (_ssd, _end_to_end, _grid):
        head = reading(weights, raw, names)
        if head is not None:
            return head
    seen = f"an output {weights.output_name} {shown(shape)} for {weights.width}x{weights.height} pictures"
    raise weights.refusal(seen, FITS)


def _ssd(_weights: Weights, raw: Raw, names: tuple[str, ...]) -> Head | None:
    """Rows of picture, class, score, left, top, right, bottom; class 0 is the background."""
    if raw[0].ndim != 4 or raw[0].shape[:2] != (1, 1) or raw[0].shape[3] != 7:
        return None
    rows, fixed = _rows(raw, axis=2)
    return Head("ssd", rows, names or ("person",), normalised=True, first_class=1, fixed=fixed)


def _end_to_end(weights: Weights, raw: Raw, names: tuple[str, ...]) -> Head | None:
    """Rows of left, top, right, bottom, score, class: few, ordered corners, whole classes."""
    if raw[0].ndim != 3 or raw[0].shape[2] != 6 or raw[0].shape[1] in _yolo_rows(weights):
        return None
    rows, fixed = _rows(raw, axis=1)
    given = np.concatenate([each.reshape(-1, 6) for each in raw])
    ordered = (given[:, 2] >= given[:, 0]) & (given[:, 3] >= given[:, 1]) & (given[:, 5] == np.round(given[:, 5]))
    if not ordered.all():
        return None
    normalised = bool(given[:, :4].any() and np.abs(given[:, :4]).max() <= 2)
    return Head("end-to-end", rows, names or coco.CLASS_NAMES, normalised=normalised, fixed=fixed)


def _grid(weights: Weights, raw: Raw, names: tuple[str, ...]) -> Head | None:
    """A row, or column, for each cell of a grid."""
    if raw[0].ndim != 3 or any(each.shape != raw[0].shape for each in raw):
        return None
    _, second, third = raw[0].shape
    rows = _yolo_rows(weights)
    if third in rows and (second not in rows or third > second) and second > 4:
        return _yolo(weights, raw, names, channels_first=True)
    nanodet = _nanodet(weights, raw, names)
    if nanodet is not None:
        return nanodet
    if second not in rows or third <= 4:
        return None
    if _has_objectness(third, names):
        return _yolox(weights, raw, names)
    return _yolo(weights, raw, names, channels_first=False)


def _has_objectness(columns: int, names: tuple[str, ...]) -> bool:
    """YOLOX's columns are 5 + classes, YOLO's 4 + classes: the number of names tells, without any COCO's 80 classes do."""
    count = len(names) or len(coco.CLASS_NAMES)
    return columns != count + 4


def _yolox(weights: Weights, raw: Raw, names: tuple[str, ...]) -> Head:
    columns = raw[0].shape[2]
    given = np.concatenate([each[0] for each in raw])
    decoded = raw[0].shape[1] != _cells(weights) or _looks_decoded(raw, weights)
    return Head(
        "yolox",
        raw[0].shape[1],
        _named(weights, columns - 5, names),
        decoded=decoded,
        logits=_beyond_probability(given[:, 4:]),
    )


def _yolo(weights: Weights, raw: Raw, names: tuple[str, ...], *, channels_first: bool) -> Head:
    rows = np.concatenate([each[0].T if channels_first else each[0] for each in raw])
    return Head(
        "yolo",
        raw[0].shape[2 if channels_first else 1],
        _named(weights, rows.shape[1] - 4, names),
        channels_first=channels_first,
        logits=_beyond_probability(rows[:, 4:]),
        normalised=bool(np.abs(rows[:, :4]).max() <= 2),
    )


def _nanodet(weights: Weights, raw: Raw, names: tuple[str, ...]) -> Head | None:
    """Scores of classes, then for each side the logits of its distance in strides: 0, 1, ... bins - 1."""
    _, cells, columns = raw[0].shape
    count = len(names) or len(coco.CLASS_NAMES)
    bins, over = divmod(columns - count, 4)
    if over or bins < 4:
        return None
    for strides, centre in ((NANODET_STRIDES, 0.0), (YOLO_STRIDES, 0.5)):  # NanoDet-Plus, and its first release
        if cells == _cells(weights, strides):
            scores = np.concatenate([each[0, :, :count] for each in raw])
            return Head(
                "nanodet",
                cells,
                _named(weights, count, names),
                strides,
                decoded=False,
                logits=_beyond_probability(scores),
                centre=centre,
                bins=bins,
            )
    return None


def _named(weights: Weights, count: int, names: tuple[str, ...]) -> tuple[str, ...]:
    given = names or (coco.CLASS_NAMES if count == len(coco.CLASS_NAMES) else ())
    if len(given) != count:
        raise weights.refusal(
            f"{count} classes, but {len(given)} names are given for them",
            "--class-name for each of them, in their order",
        )
    return given


def _rows(raw: Raw, axis: int) -> tuple[int, bool]:
    """How many rows are kept of each picture's output, and whether it always has as many."""
    counts = {each.shape[axis] for each in raw}
    fixed = len(counts) == 1 and min(counts) > 0
    return (counts.pop(), True) if fixed else (_MOST_ROWS, False)


def _cells(weights: Weights, strides: Sequence[int] = YOLO_STRIDES) -> int:
    return len(cell_grid(weights.height, weights.width, strides)[0])


def _yolo_rows(weights: Weights) -> set[int]:
    """Rows that a head on a grid of strides 8, 16 and 32, of 64 too, can have, with or without three anchors a cell."""
    cells = (_cells(weights), _cells(weights, NANODET_STRIDES))
    return {each * anchors for each in cells for anchors in (1, _ANCHORS)}


def _looks_decoded(raw: Raw, weights: Weights) -> bool:
    """Whether (n, cells, 5 + classes) outputs give pixels: then most centres lie within two strides of their cell."""
    corners, strides = cell_grid(weights.height, weights.width)
    away = [np.abs(each[0, :, :2] - (corners + 0.5) * strides) / strides for each in raw]
    return bool(np.mean(np.stack(away) < 2) > 0.5)


def _beyond_probability(scores: NDArray[np.float32]) -> bool:
    return bool(scores.min() < 0 or scores.max() > 1)
