"""Tiny ONNX weights with known behaviour, in the shapes that trained ones have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
CLASSES = ("person", "trolley")


def tiny_detector(path: Path, *, batch: int | None = 1, decoded: bool = False) -> Path:
    """YOLOX-type weights for 64x64 pictures, BGR 0..255: a red cell is a person, a blue one a trolley, 24x48 pixels around its centre.

    `batch` 1 is an export whose batch is fixed, in its Reshapes too.
    """
    graph = _Graph()
    outputs = []
    for stride in (8, 16, 32):
        cells = SIDE // stride
        mean = graph.add("AveragePool", "images", kernel_shape=[stride, stride], strides=[stride, stride])
        # Rows give x, y, log width, log height, objectness, person, trolley from blue, green, red.
        weights = np.zeros((7, 3, 1, 1), np.float32)
        weights[4, :, 0, 0] = (0.1, -0.2, 0.1)
        weights[5, :, 0, 0] = (-0.1, 0, 0.1)
        weights[6, :, 0, 0] = (0.1, 0, -0.1)
        bias = np.array([0.5, 0.5, np.log(24 / stride), np.log(48 / stride), -12, 0, 0], np.float32)
        scores = graph.add("Conv", mean, graph.constant(weights), graph.constant(bias))
        flat = graph.add("Reshape", scores, graph.constant(np.array([batch or 0, 7, cells * cells], np.int64)))
        outputs.append(graph.add("Transpose", flat, perm=[0, 2, 1]))
    raw = graph.add("Concat", *outputs, axis=1)
    columns = graph.constant(np.array([2], np.int64))
    place = graph.add("Slice", raw, *[graph.constant(np.array([each], np.int64)) for each in (0, 4)], columns)
    rest = graph.add("Slice", raw, *[graph.constant(np.array([each], np.int64)) for each in (4, 7)], columns)
    if decoded:
        place = _decoded(graph, place)
    result = graph.add("Concat", place, graph.add("Sigmoid", rest), axis=2)
    return graph.save(path, "images", (batch or "batch", 3, SIDE, SIDE), result, (batch or "batch", 84, 7))


def tiny_reid(path: Path, *, dim: int = 6, batch: int | None = None) -> Path:
    """Weights for 32x64 crops: means of the colours of the upper and of the lower half, not normalised; `dim` 6 or less."""
    graph = _Graph()
    mean = graph.add("AveragePool", "crops", kernel_shape=[32, 32], strides=[32, 32])
    flat = graph.add("Reshape", mean, graph.constant(np.array([batch or 0, 6], np.int64)))
    result = graph.add("MatMul", flat, graph.constant(np.eye(6, dim, dtype=np.float32) * 3))
    return graph.save(path, "crops", (batch or "batch", 3, 64, 32), result, (batch or "batch", dim))


def constant_head(path: Path, output: NDArray[np.float32], *, batch: int | None = 1, rows: bool = True) -> Path:
    """Weights for 64x64 pictures that always give `output`, without its batch axis; `rows` False leaves their number open.

    With a `batch` of 1 the graph refuses any other, as exports that list boxes do.
    """
    graph = _Graph()
    nothing = graph.add("Mul", graph.add("GlobalAveragePool", "images"), graph.constant(np.zeros(1, np.float32)))
    if batch:
        nothing = graph.add("Reshape", nothing, graph.constant(np.array([3], np.int64)))
        nothing = graph.add("ReduceSum", nothing, keepdims=0)
    else:
        nothing = graph.add("ReduceSum", nothing, graph.constant(np.array([1, 2, 3], np.int64)), keepdims=0)
        nothing = graph.add("Reshape", nothing, graph.constant(np.array([-1] + [1] * output.ndim, np.int64)))
    result = graph.add("Add", graph.constant(output[None]), nothing)
    shape = (batch or "batch", *(output.shape if rows else ("rows" if size > 7 else size for size in output.shape)))
    return graph.save(path, "images", (batch or "batch", 3, SIDE, SIDE), result, shape)


def picture(colour: tuple[int, int, int], column: int, row: int) -> NDArray[np.uint8]:
    """(64, 64, 3) uint8 RGB, black but for one cell of 8x8 pixels."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = colour
    return pixels


def _decoded(graph: _Graph, place: str) -> str:
    corners, strides = [], []
    for stride in (8, 16, 32):
        y, x = np.mgrid[: SIDE // stride, : SIDE // stride]
        corners.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((x.size, 1), stride))
    stride_column = graph.constant(np.concatenate(strides).astype(np.float32)[None])
    axis = graph.constant(np.array([2], np.int64))
    centre = graph.add("Slice", place, *[graph.constant(np.array([each], np.int64)) for each in (0, 2)], axis)
    size = graph.add("Slice", place, *[graph.constant(np.array([each], np.int64)) for each in (2, 4)], axis)
    cell = graph.add("Add", centre, graph.constant(np.concatenate(corners).astype(np.float32)[None]))
    return graph.add(
        "Concat", graph.add("Mul", cell, stride_column), graph.add("Mul", graph.add("Exp", size), stride_column), axis=2
    )


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: np.ndarray) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        name = f"node{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))  # type: ignore[arg-type]
        return name

    def save(self, path: Path, input_name: str, input_shape: tuple, output: str, output_shape: tuple) -> Path:  # type: ignore[type-arg]
        graph = helper.make_graph(
            self.nodes,
            "tiny",
            [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, input_shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, output_shape)],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
        onnx.checker.check_model(model)
        onnx.save(model, str(path))
        return path
