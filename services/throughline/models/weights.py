"""Reads ONNX weights, refuses what doesn't fit, and makes batches of any size possible."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

from throughline.domain.errors import InvalidInput, NotFound

OLDEST_OPSET = 11
BATCH = "n"
_PREFIX = "weights/"

Shape = tuple[int | None, ...]
"""None where a dimension is not fixed."""


class Weights:
    """An ONNX file with one float picture input (n, 3, height, width) and one float output.

    Raises NotFound, or InvalidInput that says what was seen in the file and what would fit.
    """

    def __init__(self, path: Path, size: tuple[int, int] | None = None) -> None:
        """`size`: width and height in pixels, for weights that take any."""
        self.path = path
        self.model = _load(path)
        graph = self.model.graph
        constants = {each.name for each in graph.initializer}
        inputs = [each for each in graph.input if each.name not in constants]
        if len(inputs) != 1 or len(graph.output) != 1:
            seen = f"inputs {_listed(inputs)} and outputs {_listed(graph.output)}"
            raise self.refusal(
                seen, "one input, a picture, and one output; cut the graph behind the one that is wanted"
            )
        if size is not None:
            _fix_size(inputs[0], size)
        self.input_name, self.output_name = str(inputs[0].name), str(graph.output[0].name)
        self.input_shape, self.output_shape = _shape(inputs[0]), _shape(graph.output[0])
        kind = inputs[0].type.tensor_type.elem_type
        picture = self.input_shape
        if kind != TensorProto.FLOAT or len(picture) != 4 or picture[1] != 3 or None in picture[1:]:
            raise self.refusal(
                f"the input {self.input_name} {shown(picture)} {TensorProto.DataType.Name(kind)}",
                "one picture (n, 3, height, width) FLOAT; its size, where it takes any, is given with --size",
            )
        self.height, self.width = picture[2] or 0, picture[3] or 0

    def refusal(self, seen: str, fits: str) -> InvalidInput:
        """The error that says that this file can't be used."""
        return InvalidInput(f"{self.path.name} has {seen}; what fits is {fits}")

    def batch_dynamic(self) -> onnx.ModelProto:
        """A copy whose first dimension is free and whose names start with `weights/`, in an opset that nodes can be added to.

        A batch of 1 that the export has fixed is taken out of the shapes of inputs and outputs and of constant Reshape targets.
        Whether that was enough shows when the model runs on a batch.
        """
        model = self._prefixed()
        graph = model.graph
        for value in (*graph.input, *graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = BATCH
        if self.input_shape[0] is not None:
            _free_reshapes(graph)
        return model

    def looped(self, shape: tuple[int, ...]) -> onnx.ModelProto:
        """A copy like that of batch_dynamic, for weights that take one picture only: they run on one after the other.

        Each picture's output is filled up with zeros, or cut, along its first axis, and gets `shape`.
        """
        model = self._prefixed()
        graph = model.graph
        pictures, given = graph.input[0], graph.output[0]
        constants = {
            "one": [1, *self.input_shape[1:]],
            "rows": [-1, *shape[1:]],
            "begin": [0],
            "end": [shape[0]],
            "axis": [0],
        }
        names = {name: f"{_PREFIX}loop/{name}" for name in constants}
        graph.initializer.extend(
            numpy_helper.from_array(np.array(value, np.int64), names[name]) for name, value in constants.items()
        )
        zeros = names["rows"] + "/zeros"
        graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), zeros))
        picture, rows, filled, result = (f"{_PREFIX}loop/{name}" for name in ("picture", "listed", "filled", "result"))
        body = helper.make_graph(
            [
                helper.make_node("Reshape", [picture, names["one"]], [pictures.name]),
                *graph.node,
                helper.make_node("Reshape", [given.name, names["rows"]], [rows]),
                helper.make_node("Concat", [rows, zeros], [filled], axis=0),
                helper.make_node("Slice", [filled, names["begin"], names["end"], names["axis"]], [result]),
            ],
            f"{_PREFIX}loop",
            [helper.make_tensor_value_info(picture, TensorProto.FLOAT, self.input_shape[1:])],
            [helper.make_tensor_value_info(result, TensorProto.FLOAT, shape)],
        )
        batch, stacked = f"{_PREFIX}loop/batch", f"{_PREFIX}loop/stacked"
        del graph.node[:], graph.input[:], graph.output[:]
        graph.node.append(helper.make_node("Scan", [batch], [stacked], body=body, num_scan_inputs=1))
        graph.input.append(helper.make_tensor_value_info(batch, TensorProto.FLOAT, [BATCH, *self.input_shape[1:]]))
        graph.output.append(helper.make_tensor_value_info(stacked, TensorProto.FLOAT, [BATCH, *shape]))
        return model

    def _prefixed(self) -> onnx.ModelProto:
        """A copy whose names start with `weights/`, in an opset that nodes can be added to; constants are no inputs."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        opset = next(each.version for each in model.opset_import if each.domain in {"", "ai.onnx"})
        if opset < OLDEST_OPSET:
            model = version_converter.convert_version(model, OLDEST_OPSET)
        model.ir_version = max(model.ir_version, 4)  # from 4 on, constants need not be inputs as well
        model = compose.add_prefix(model, _PREFIX)
        graph = model.graph
        constants = {each.name for each in graph.initializer}
        pictures = [each for each in graph.input if each.name not in constants]
        del graph.input[:], graph.value_info[:]
        graph.input.extend(pictures)
        return model


def shown(shape: Shape) -> str:
    """A shape for people: (?, 3, 416, 416)."""
    return "(" + ", ".join("?" if each is None else str(each) for each in shape) + ")"


def _listed(values: Iterable[onnx.ValueInfoProto]) -> str:
    """Names, shapes and types, as a refusal says them."""
    each = (
        f"{value.name} {shown(_shape(value))} {TensorProto.DataType.Name(value.type.tensor_type.elem_type)}"
        for value in values
    )
    return ", ".join(each) or "none"


def _fix_size(picture: onnx.ValueInfoProto, size: tuple[int, int]) -> None:
    """Give the free height and width of an input these values."""
    dimensions = picture.type.tensor_type.shape.dim
    if len(dimensions) == 4:
        for dimension, pixels in zip(dimensions[2:], reversed(size), strict=True):
            if not dimension.dim_value:
                dimension.dim_value = pixels


def _shape(value: onnx.ValueInfoProto) -> Shape:
    return tuple(each.dim_value or None for each in value.type.tensor_type.shape.dim)


def _load(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise NotFound(f"no weights at {path}")
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise InvalidInput(f"{path} is no ONNX model: {error}; export the weights to ONNX first") from error
    return model


def _free_reshapes(graph: onnx.GraphProto) -> None:
    """Let Reshapes of data to a constant (1, ...) keep the first dimension of what they get; 0 means that in ONNX."""
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    for position, node in enumerate(graph.node):
        target = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if target is None or node.input[0] in constants or target.size < 2 or target[0] != 1:
            continue
        name = f"{_PREFIX}batch_dynamic_{position}"
        graph.initializer.append(numpy_helper.from_array(np.concatenate([[0], target[1:]]).astype(np.int64), name))
        node.input[1] = name
