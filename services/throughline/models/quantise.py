"""INT8 for TensorRT: measures the range of each convolution's input on calibration pictures and writes it into the graph.

The graph carries its scales as QuantizeLinear and DequantizeLinear pairs, symmetric as TensorRT wants them, so that ONNX Runtime and
TensorRT compute the same thing and no calibration cache is needed. Everything but convolutions stays in floating point.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from throughline.domain.errors import InvalidInput
from throughline.models.runtime import run_onnx

_LEVELS = 127
_OLDEST_OPSET = 13
"""From here on, scales can be given for each channel."""
_SMALLEST = 1e-8
_AT_ONCE = 8


def quantised(model: onnx.ModelProto, pictures: NDArray[np.uint8]) -> onnx.ModelProto:
    """A copy of a built model whose convolutions run in INT8; `pictures`: (n, height, width, 3) uint8 RGB as it will be given them.

    Raises InvalidInput where there is nothing to quantise, or the graph's opset is too old for it.
    """
    opset = next(each.version for each in model.opset_import if each.domain in {"", "ai.onnx"})
    if opset < _OLDEST_OPSET:
        raise InvalidInput(
            f"INT8 needs weights of opset {_OLDEST_OPSET} or later, these have {opset}; export them anew"
        )
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in constants]
    if not convolutions:
        raise InvalidInput("the model has no convolutions whose weights are constants: nothing to run in INT8")
    ranges = _ranges(model, sorted({node.input[0] for node in convolutions}), pictures)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    nodes: list[onnx.NodeProto] = []
    done: dict[str, str] = {}
    for node in copy.graph.node:
        if node.op_type == "Conv" and node.input[1] in constants:
            for position, values in ((0, ranges[node.input[0]]), (1, _largest_by_filter(constants[node.input[1]]))):
                name = node.input[position]
                if name not in done:
                    done[name] = _pair(copy.graph, nodes, name, values)
                node.input[position] = done[name]
        nodes.append(node)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    onnx.checker.check_model(copy)
    return copy


def _pair(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], name: str, largest: NDArray[np.float32]) -> str:
    """Quantise and dequantise a tensor; one scale for all of it, or one for each of its filters."""
    scale = np.maximum(largest, _SMALLEST).astype(np.float32) / _LEVELS
    names = [f"{name}/{part}" for part in ("scale", "zero", "int8", "dequantised")]
    graph.initializer.append(numpy_helper.from_array(scale, names[0]))
    graph.initializer.append(numpy_helper.from_array(np.zeros(scale.shape, np.int8), names[1]))
    nodes.append(helper.make_node("QuantizeLinear", [name, *names[:2]], [names[2]], axis=0))
    nodes.append(helper.make_node("DequantizeLinear", [names[2], *names[:2]], [names[3]], axis=0))
    return names[3]


def _largest_by_filter(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.abs(weight).reshape(len(weight), -1).max(axis=1)


def _ranges(model: onnx.ModelProto, tensors: list[str], pictures: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """The largest absolute value of each tensor over the pictures, as scalars."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    for name in tensors:
        largest = f"{name}/largest"
        watched.graph.node.append(helper.make_node("Abs", [name], [f"{name}/absolute"]))
        watched.graph.node.append(helper.make_node("ReduceMax", [f"{name}/absolute"], [largest], keepdims=0))
        watched.graph.output.append(helper.make_tensor_value_info(largest, TensorProto.FLOAT, []))
    runs = run_onnx(watched, [pictures[start : start + _AT_ONCE] for start in range(0, len(pictures), _AT_ONCE)])
    return {name: np.max([run[f"{name}/largest"] for run in runs], axis=0).astype(np.float32) for name in tensors}
