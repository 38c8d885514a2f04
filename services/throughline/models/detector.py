"""The served detector's graph: YOLOX-type weights with decoding, class filter and non-maximum suppression inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from throughline.models.graph import GraphBuilder, Normalisation, Output
from throughline.models.weights import Weights, shown

STRIDES = (8, 16, 32)


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """How boxes are chosen. `decoded` says whether the weights give pixels already."""

    normalisation: Normalisation
    classes: tuple[int, ...]
    decoded: bool
    score_threshold: float
    iou_threshold: float
    max_boxes: int


def cell_grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Left top corner of each cell, (cells, 2) in cells, and its stride, (cells, 1) in pixels, in the order of YOLOX's output."""
    corners, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: height // stride, : width // stride]
        corners.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)


def class_count(weights: Weights) -> int:
    """Of YOLOX-type weights. Raises InvalidInput, with what was seen and what would fit, when the output is another one."""
    cells = len(cell_grid(weights.height, weights.width)[0])
    shape = weights.output_shape
    fits = f"YOLOX's (n, {cells} cells of strides 8, 16 and 32, 5 + classes): x, y, width, height, objectness, classes"
    if len(shape) != 3 or shape[2] is None or shape[2] < 6 or shape[1] not in {None, cells}:
        seen = f"an output {shown(shape)} for {weights.width}x{weights.height} pictures"
        raise weights.refusal(seen, fits)
    return shape[2] - 5


def detector_graph(weights: Weights, settings: DetectorSettings) -> onnx.ModelProto:
    """`images` uint8 (n, height, width, 3) RGB -> boxes (n, K, 4), scores (n, K), classes (n, K), count (n, 1), best first,
    zeros behind the last."""
    graph = GraphBuilder(weights)
    graph.picture_input("images", settings.normalisation, weights)
    corners, strides = cell_grid(weights.height, weights.width)
    boxes = _corner_boxes(graph, settings, corners, strides)
    scores = _class_scores(graph, settings.classes)
    kept = _suppress(graph, boxes, scores, settings)
    k = settings.max_boxes
    flat = graph.add("Reshape", kept, _ints(graph, 0, -1))
    best, positions = graph.add_pair("TopK", flat, _ints(graph, k), axis=1, largest=1, sorted=1)
    cells = _ints(graph, len(corners))
    classes = graph.add("Div", positions, cells)
    column = graph.add("Reshape", graph.add("Mod", positions, cells), _ints(graph, 0, k, 1))
    chosen = graph.add("GatherElements", boxes, graph.add("Concat", *[column] * 4, axis=2), axis=1)
    found = graph.add("Greater", best, _floats(graph, 0.0))
    real = graph.add("Cast", found, to=TensorProto.FLOAT)
    found_int = graph.add("Cast", found, to=TensorProto.INT32)
    count = graph.add("MatMul", real, graph.constant(np.ones((k, 1), np.float32)))
    return graph.finish(
        {
            "boxes": Output(
                graph.add("Mul", chosen, graph.add("Reshape", real, _ints(graph, 0, k, 1))), TensorProto.FLOAT, (k, 4)
            ),
            "scores": Output(best, TensorProto.FLOAT, (k,)),
            "classes": Output(
                graph.add("Mul", graph.add("Cast", classes, to=TensorProto.INT32), found_int), TensorProto.INT32, (k,)
            ),
            "count": Output(graph.add("Cast", count, to=TensorProto.INT32), TensorProto.INT32, (1,)),
        }
    )


def _corner_boxes(
    graph: GraphBuilder, settings: DetectorSettings, corners: NDArray[np.float32], strides: NDArray[np.float32]
) -> str:
    """(n, cells, 4) float32, xyxy, pixels."""
    centres = _columns(graph, graph.weights_output, 0, 2)
    sides = _columns(graph, graph.weights_output, 2, 4)
    if not settings.decoded:
        stride = graph.constant(strides[None])
        centres = graph.add("Mul", graph.add("Add", centres, graph.constant(corners[None])), stride)
        sides = graph.add("Mul", graph.add("Exp", sides), stride)
    half = graph.add("Mul", sides, _floats(graph, 0.5))
    return graph.add("Concat", graph.add("Sub", centres, half), graph.add("Add", centres, half), axis=2)


def _class_scores(graph: GraphBuilder, classes: Sequence[int]) -> str:
    """(n, classes, cells) float32: objectness times class."""
    objectness = _columns(graph, graph.weights_output, 4, 5)
    wanted = graph.add("Gather", graph.weights_output, _ints(graph, *[5 + each for each in classes]), axis=2)
    return graph.add("Transpose", graph.add("Mul", wanted, objectness), perm=[0, 2, 1])


def _suppress(graph: GraphBuilder, boxes: str, scores: str, settings: DetectorSettings) -> str:
    """(n, classes, cells): the scores of the boxes that stay, 0 elsewhere."""
    chosen = graph.add(  # rows of picture, class, cell
        "NonMaxSuppression",
        boxes,
        scores,
        _ints(graph, settings.max_boxes),
        _floats(graph, settings.iou_threshold),
        _floats(graph, settings.score_threshold),
    )
    return graph.add("ScatterND", graph.add("Sub", scores, scores), chosen, graph.add("GatherND", scores, chosen))


def _columns(graph: GraphBuilder, tensor: str, start: int, end: int) -> str:
    return graph.add("Slice", tensor, _ints(graph, start), _ints(graph, end), _ints(graph, 2))


def _ints(graph: GraphBuilder, *values: int) -> str:
    return graph.constant(np.array(values, np.int64))


def _floats(graph: GraphBuilder, *values: float) -> str:
    return graph.constant(np.array(values, np.float32))
