"""Checks a built graph against the weights it was made from, with pre- and postprocessing written a second time, in NumPy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput
from throughline.domain.geometry import iou_matrix
from throughline.models.detector import DetectorSettings, detector_graph
from throughline.models.graph import Normalisation
from throughline.models.heads import Raw
from throughline.models.reference import reference_detections
from throughline.models.runtime import CPU_RUNTIMES, Runtime, run_onnx
from throughline.models.weights import Weights
from throughline.perception.triton.card import Check

Pictures = NDArray[np.uint8]
_LOWEST_SCORE = 1e-6
"""With this threshold even noise gives boxes to compare."""


def test_pictures(height: int, width: int) -> Pictures:
    """(4, height, width, 3): noise, coarse noise, a gradient, and an upright figure on grey. The same ones on every call."""
    random = np.random.default_rng(7)
    noise = random.integers(0, 256, (height, width, 3))
    coarse = (
        random.integers(0, 256, (-(-height // 16), -(-width // 16), 3)).repeat(16, 0).repeat(16, 1)[:height, :width]
    )
    gradient = np.linspace(0, 255, height * width * 3).reshape(height, width, 3)
    figure = np.full((height, width, 3), 114)
    left, right = int(width * 0.42), int(width * 0.58)
    figure[int(height * 0.3) : int(height * 0.55), left:right] = (160, 60, 50)
    figure[int(height * 0.55) : int(height * 0.85), left:right] = (40, 50, 90)
    figure[int(height * 0.2) : int(height * 0.3), int(width * 0.46) : int(width * 0.54)] = (200, 160, 140)
    return np.stack([noise, coarse, gradient, figure]).astype(np.uint8)


def raw_outputs(weights: Weights, normalisation: Normalisation, pictures: Pictures) -> list[NDArray[np.float32]]:
    """What the original weights give for each of (n, height, width, 3) `pictures`, with a batch axis of 1."""
    planes = normalisation.apply(pictures)
    runs = run_onnx(weights.model, [planes[i : i + 1] for i in range(len(planes))])
    return [run[weights.output_name].astype(np.float32) for run in runs]


def check_detector(
    weights: Weights, settings: DetectorSettings, raw: Raw, *, looped: bool = False
) -> tuple[Check, ...]:
    """Boxes of the built graph against boxes that NumPy makes of `raw`, the original's outputs for the test pictures."""
    pictures = test_pictures(weights.height, weights.width)
    low = dataclasses.replace(settings, score_threshold=_LOWEST_SCORE)
    (built,) = run_onnx(detector_graph(weights, low, looped=looped), [pictures])
    found, differences = [], [0.0]
    for index, output in enumerate(raw):
        boxes, scores, classes = _clearly_kept(*reference_detections(output, weights, low), low.max_boxes)
        count = int(built["count"][index, 0])
        if not len(scores):
            continue
        near = iou_matrix(boxes, built["boxes"][index, :count].astype(np.float32)) > 0.98
        alike = near & (classes[:, None] == built["classes"][index, None, :count])
        score_gap = np.abs(
            1 - built["scores"][index, None, :count] / scores[:, None]
        )  # relative: scores of noise are tiny
        found.append(alike.any(axis=1).mean() if count else 0.0)
        if alike.any():
            differences.append(float(np.where(alike, score_gap, np.inf).min(axis=1)[alike.any(axis=1)].max()))
    agreeing = float(np.mean(found)) if found else 0.0
    return (
        Check(name="share of reference boxes found", value=agreeing, bar=0.98, better="higher"),
        Check(name="largest relative difference of a score", value=max(differences), bar=0.01, better="lower"),
        _batch_check(
            detector_graph(weights, settings, looped=looped),
            pictures,
            "boxes",
            CPU_RUNTIMES["detector"],
            tolerance=0.05,
        ),
    )


def check_reid(weights: Weights, normalisation: Normalisation, graph: onnx.ModelProto) -> tuple[Check, ...]:
    """Descriptors of the built graph against the original's, normalised by NumPy."""
    pictures = test_pictures(weights.height, weights.width)
    reference = np.concatenate(raw_outputs(weights, normalisation, pictures)).reshape(len(pictures), -1)
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    embeddings = run_onnx(graph, [pictures], CPU_RUNTIMES["reid"])[0]["embeddings"]
    return (
        Check(
            name="least cosine to the original",
            value=float((reference * embeddings).sum(1).min()),
            bar=0.9999,
            better="higher",
        ),
        _batch_check(graph, pictures, "embeddings", CPU_RUNTIMES["reid"], tolerance=0.001),
    )


def require(checks: Sequence[Check], weights: Weights) -> None:
    """Raise InvalidInput when a check missed its bar: the weights are not of the kind that they were taken for."""
    for check in checks:
        if not passed(check):
            raise InvalidInput(
                f"the model built from {weights.path.name} does not do what its weights do: {check.name} is {check.value:.6g}, "
                f"the bar is {check.bar:g}; see whether colours, normalisation and layout are right for them"
            )


def passed(check: Check) -> bool:
    """Whether a check met its bar."""
    return check.value >= check.bar if check.better == "higher" else check.value <= check.bar


def _clearly_kept(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.int64], max_boxes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Without those that tie with the last one of a full list: which of them is kept is left open."""
    clear = scores > scores[-1] * 1.0001 if len(scores) == max_boxes else np.ones(len(scores), bool)
    return boxes[clear], scores[clear], classes[clear]


def _batch_check(
    graph: onnx.ModelProto, pictures: Pictures, output: str, runtime: Runtime, *, tolerance: float
) -> Check:
    together, *alone = run_onnx(graph, [pictures, *(pictures[i : i + 1] for i in range(len(pictures)))], runtime)
    difference = np.abs(together[output] - np.concatenate([run[output] for run in alone])).max()
    return Check(
        name=f"largest difference of {output} alone and in a batch",
        value=float(difference),
        bar=tolerance,
        better="lower",
    )
