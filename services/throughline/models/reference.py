"""What a detector's outputs mean, written a second time, in NumPy: the reference that a built graph is checked against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import iou_matrix
from throughline.models.detector import DetectorSettings
from throughline.models.heads import Head, cell_grid
from throughline.models.weights import Weights

Found = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""Boxes (k, 4) xyxy in pixels, scores (k,) and classes (k,), best first."""


def reference_detections(raw: NDArray[np.float32], weights: Weights, settings: DetectorSettings) -> Found:
    """What is to be found in one picture, of which the original weights gave `raw`."""
    boxes, scores = decoded(raw, weights, settings.head)
    kept: list[tuple[float, int, int]] = []
    for number, position in enumerate(settings.classes):
        kept += [(score, number, row) for score, row in _suppressed(boxes, scores[:, position], settings)]
    kept = sorted(kept, reverse=True)[: settings.max_boxes]
    rows = [row for _, _, row in kept]
    return boxes[rows], np.array([s for s, _, _ in kept], np.float32), np.array([c for _, c, _ in kept], np.int64)


def decoded(raw: NDArray[np.float32], weights: Weights, head: Head) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes (rows, 4) xyxy in pixels, and scores (rows, classes)."""
    rows = raw.reshape(raw.shape[-2:])
    rows = rows.T if head.channels_first else rows
    size = np.array([weights.width, weights.height] * 2, np.float32)
    if head.kind in ("ssd", "end-to-end"):
        boxes, scores = _listed(rows, head)
        return boxes * (size if head.normalised else 1), scores
    if head.kind == "nanodet":
        return _distances(rows, weights, head)
    centres, sides = rows[:, :2], rows[:, 2:4]
    if not head.decoded:
        corners, strides = cell_grid(weights.height, weights.width, head.strides)
        centres, sides = (centres + corners) * strides, np.exp(sides) * strides
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    scores = _probability(rows[:, 4:], head)
    if head.kind == "yolox":
        scores = scores[:, :1] * scores[:, 1:]
    return boxes * (size if head.normalised else 1), scores


def _listed(rows: NDArray[np.float32], head: Head) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of rows that name a class each."""
    if head.kind == "ssd":
        pictures, classes, scores, boxes = rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3:7]
        scores = np.where(pictures >= 0, scores, 0)
    else:
        boxes, scores, classes = rows[:, :4], rows[:, 4], rows[:, 5]
    numbers = head.first_class + np.arange(len(head.class_names))
    return boxes, (scores[:, None] * (classes[:, None] == numbers)).astype(np.float32)


def _distances(
    rows: NDArray[np.float32], weights: Weights, head: Head
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each side's expected distance from the cell's point (generalised focal loss, arXiv:2006.04388)."""
    count = len(head.class_names)
    logits = rows[:, count:].reshape(-1, 4, head.bins)
    weight = np.exp(logits - logits.max(axis=2, keepdims=True))
    expected = (weight / weight.sum(axis=2, keepdims=True)) @ np.arange(head.bins, dtype=np.float32)
    corners, strides = cell_grid(weights.height, weights.width, head.strides)
    points, away = (corners + head.centre) * strides, expected * strides
    boxes = np.concatenate([points - away[:, :2], points + away[:, 2:]], axis=1).astype(np.float32)
    return boxes, _probability(rows[:, :count], head)


def _probability(scores: NDArray[np.float32], head: Head) -> NDArray[np.float32]:
    return (1 / (1 + np.exp(-scores))).astype(np.float32) if head.logits else scores


def _suppressed(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], settings: DetectorSettings
) -> list[tuple[float, int]]:
    """Score and row of the boxes of one class that stay."""
    candidates = np.flatnonzero(scores > settings.score_threshold)
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    overlaps = iou_matrix(boxes[candidates], boxes[candidates])
    alive, kept = np.ones(len(candidates), bool), []
    for rank, row in enumerate(candidates):
        if alive[rank]:
            kept.append((float(scores[row]), int(row)))
            alive[rank + 1 :] &= overlaps[rank, rank + 1 :] <= settings.iou_threshold
    return kept
