"""The served detector's graph: weights with decoding, class filter and non-maximum suppression inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from throughline.models.graph import GraphBuilder, Normalisation, Output
from throughline.models.heads import Head, cell_grid
from throughline.models.weights import Weights

END_TO_END_IOU = 1.0
"""Nothing overlaps more than this: boxes of heads that suppress by themselves all stay."""


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """How boxes are made of a head's output, and chosen. `classes`: positions in the head's class names that are served."""

    normalisation: Normalisation
    head: Head
    classes: tuple[int, ...]
    score_threshold: float
    iou_threshold: float
    max_boxes: int


def detector_graph(weights: Weights, settings: DetectorSettings, *, looped: bool = False) -> onnx.ModelProto:
    """`images` uint8 (n, height, width, 3) RGB -> boxes (n, K, 4), scores (n, K), classes (n, K), count (n, 1), best first,
    zeros behind the last. `looped`: for weights that can take only one picture at a time."""
    head, k = settings.head, settings.max_boxes
    graph = GraphBuilder(weights, _looped_shape(head) if looped else None)
    graph.picture_input("images", settings.normalisation, weights)
    boxes, scores = Decoder(graph, weights, settings).decoded()
    rows = head.rows
    if rows < k:
        boxes, scores, rows = (
            _padded(graph, boxes, 1, k, 4),
            _padded(graph, scores, 2, k, len(settings.classes)),
            rows + k,
        )
    kept = _suppress(graph, boxes, scores, settings)
    flat = graph.add("Reshape", kept, graph.ints(0, -1))
    best, positions = graph.add_pair("TopK", flat, graph.ints(k), axis=1, largest=1, sorted=1)
    classes = graph.add("Div", positions, graph.ints(rows))
    column = graph.add("Reshape", graph.add("Mod", positions, graph.ints(rows)), graph.ints(0, k, 1))
    chosen = graph.add("GatherElements", boxes, graph.add("Concat", *[column] * 4, axis=2), axis=1)
    found = graph.add("Greater", best, graph.floats(0.0))
    real = graph.add("Cast", found, to=TensorProto.FLOAT)
    found_int = graph.add("Cast", found, to=TensorProto.INT32)
    count = graph.add("MatMul", real, graph.constant(np.ones((k, 1), np.float32)))
    kept_boxes = graph.add("Mul", chosen, graph.add("Reshape", real, graph.ints(0, k, 1)))
    kept_classes = graph.add("Mul", graph.add("Cast", classes, to=TensorProto.INT32), found_int)
    return graph.finish(
        {
            "boxes": Output(kept_boxes, TensorProto.FLOAT, (k, 4)),
            "scores": Output(best, TensorProto.FLOAT, (k,)),
            "classes": Output(kept_classes, TensorProto.INT32, (k,)),
            "count": Output(graph.add("Cast", count, to=TensorProto.INT32), TensorProto.INT32, (1,)),
        }
    )


class Decoder:
    """Adds the nodes that make boxes and scores of a head's output."""

    def __init__(self, graph: GraphBuilder, weights: Weights, settings: DetectorSettings) -> None:
        self._graph, self._weights, self._settings = graph, weights, settings
        self._head = settings.head
        self._rows = graph.weights_output
        if self._head.channels_first:
            self._rows = graph.add("Transpose", self._rows, perm=[0, 2, 1])

    def decoded(self) -> tuple[str, str]:
        """Boxes (n, rows, 4) xyxy in pixels, and scores (n, classes, rows), float32."""
        if self._head.kind in ("ssd", "end-to-end"):
            return self._listed()
        if self._head.kind == "nanodet":
            return self._distances(), self._transposed(self._probability(self._served(0)))
        scores = self._probability(self._served(5 if self._head.kind == "yolox" else 4))
        if self._head.kind == "yolox":
            scores = self._graph.add("Mul", scores, self._probability(self._columns(4, 5)))
        return self._in_pixels(self._corners()), self._transposed(scores)

    def _corners(self) -> str:
        graph = self._graph
        centres, sides = self._columns(0, 2), self._columns(2, 4)
        if not self._head.decoded:
            corners, strides = cell_grid(self._weights.height, self._weights.width, self._head.strides)
            stride = graph.constant(strides[None])
            centres = graph.add("Mul", graph.add("Add", centres, graph.constant(corners[None])), stride)
            sides = graph.add("Mul", graph.add("Exp", sides), stride)
        half = graph.add("Mul", sides, graph.floats(0.5))
        return graph.add("Concat", graph.add("Sub", centres, half), graph.add("Add", centres, half), axis=2)

    def _distances(self) -> str:
        """Of NanoDet: the expectation over the bins of each side, away from the cell's point."""
        graph, head = self._graph, self._head
        count = len(head.class_names)
        corners, strides = cell_grid(self._weights.height, self._weights.width, head.strides)
        logits = graph.add("Reshape", self._columns(count, count + 4 * head.bins), graph.ints(-1, head.bins))
        bins = graph.constant(np.arange(head.bins, dtype=np.float32)[:, None])
        expected = graph.add("MatMul", graph.add("Softmax", logits, axis=1), bins)
        away = graph.add(
            "Mul", graph.add("Reshape", expected, graph.ints(-1, head.rows, 4)), graph.constant(strides[None])
        )
        points = graph.constant(((corners + head.centre) * strides)[None])
        near = graph.add("Sub", points, self._columns(0, 2, away))
        return graph.add("Concat", near, graph.add("Add", points, self._columns(2, 4, away)), axis=2)

    def _listed(self) -> tuple[str, str]:
        """Of rows that name a class each: the score stands with that class, 0 with the others."""
        graph, ssd = self._graph, self._head.kind == "ssd"
        boxes, classes = (
            (self._columns(3, 7), self._columns(1, 2)) if ssd else (self._columns(0, 4), self._columns(5, 6))
        )
        scores = self._columns(2, 3) if ssd else self._columns(4, 5)
        if ssd:  # a picture of -1 ends the list
            real = graph.add("Greater", self._columns(0, 1), graph.floats(-0.5))
            scores = graph.add("Mul", scores, graph.add("Cast", real, to=TensorProto.FLOAT))
        wanted = np.array([self._head.first_class + each for each in self._settings.classes], np.float32)
        same = graph.add("Equal", classes, graph.constant(wanted.reshape(1, 1, -1)))
        scores = graph.add("Mul", graph.add("Cast", same, to=TensorProto.FLOAT), scores)
        return self._in_pixels(boxes), self._transposed(scores)

    def _in_pixels(self, boxes: str) -> str:
        if not self._head.normalised:
            return boxes
        size = np.array([self._weights.width, self._weights.height] * 2, np.float32)
        return self._graph.add("Mul", boxes, self._graph.constant(size))

    def _served(self, first: int) -> str:
        return self._graph.add(
            "Gather", self._rows, self._graph.ints(*[first + each for each in self._settings.classes]), axis=2
        )

    def _columns(self, start: int, end: int, tensor: str = "") -> str:
        graph = self._graph
        return graph.add("Slice", tensor or self._rows, graph.ints(start), graph.ints(end), graph.ints(2))

    def _transposed(self, scores: str) -> str:
        return self._graph.add("Transpose", scores, perm=[0, 2, 1])

    def _probability(self, scores: str) -> str:
        return self._graph.add("Sigmoid", scores) if self._head.logits else scores


def _looped_shape(head: Head) -> tuple[int, ...]:
    """Of the output for one picture, rows filled up with zeros where their number changes."""
    if head.kind in ("ssd", "end-to-end"):
        return head.rows, 7 if head.kind == "ssd" else 6
    columns = len(head.class_names) + {"yolox": 5, "yolo": 4, "nanodet": 4 * head.bins}[head.kind]
    return (columns, head.rows) if head.channels_first else (head.rows, columns)


def _padded(graph: GraphBuilder, tensor: str, axis: int, count: int, width: int) -> str:
    """With `count` more zeros at the end of `axis` of three; `width` is the size of the other one."""
    batch = graph.add("Slice", graph.add("Shape", tensor), graph.ints(0), graph.ints(1))
    rest = (count, width) if axis == 1 else (width, count)
    return graph.add(
        "Concat", tensor, graph.add("ConstantOfShape", graph.add("Concat", batch, graph.ints(*rest), axis=0)), axis=axis
    )


def _suppress(graph: GraphBuilder, boxes: str, scores: str, settings: DetectorSettings) -> str:
    """(n, classes, rows): the scores of the boxes that stay, 0 elsewhere."""
    chosen = graph.add(  # rows of picture, class, row
        "NonMaxSuppression",
        boxes,
        scores,
        graph.ints(settings.max_boxes),
        graph.floats(settings.iou_threshold),
        graph.floats(settings.score_threshold),
    )
    return graph.add("ScatterND", graph.add("Sub", scores, scores), chosen, graph.add("GatherND", scores, chosen))
