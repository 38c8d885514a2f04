"""Reads ONNX weights, refuses what doesn't fit, and makes batches of any size possible."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, compose, numpy_helper, version_converter

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

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = _load(path)
        graph = self.model.graph
        constants = {each.name for each in graph.initializer}
        inputs = [each for each in graph.input if each.name not in constants]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise self.refusal(f"{len(inputs)} inputs and {len(graph.output)} outputs", "one input and one output")
        self.input_name, self.output_name = str(inputs[0].name), str(graph.output[0].name)
        self.input_shape, self.output_shape = _shape(inputs[0]), _shape(graph.output[0])
        kind = inputs[0].type.tensor_type.elem_type
        picture = self.input_shape
        if kind != TensorProto.FLOAT or len(picture) != 4 or picture[1] != 3 or None in picture[1:]:
            raise self.refusal(
                f"the input {self.input_name} {shown(picture)} {TensorProto.DataType.Name(kind)}",
                "one picture (n, 3, height, width) FLOAT of fixed height and width",
            )
        self.height, self.width = picture[2] or 0, picture[3] or 0

    def sha256(self) -> str:
        """Of the file, in hex."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def refusal(self, seen: str, fits: str) -> InvalidInput:
        """The error that says that this file can't be used."""
        return InvalidInput(f"{self.path.name} has {seen}; what fits is {fits}")

    def batch_dynamic(self) -> onnx.ModelProto:
        """A copy whose first dimension is free and whose names start with `weights/`, in an opset that nodes can be added to.

        A batch of 1 that the export has fixed is taken out of the shapes of inputs and outputs and of constant Reshape targets.
        Whether that was enough shows when the model runs on a batch.
        """
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
        for value in (*graph.input, *graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = BATCH
        if self.input_shape[0] is not None:
            _free_reshapes(graph)
        return model


def shown(shape: Shape) -> str:
    """A shape for people: (?, 3, 416, 416)."""
    return "(" + ", ".join("?" if each is None else str(each) for each in shape) + ")"


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
