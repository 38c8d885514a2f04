"""OSNet (arXiv:1905.00953, 1910.06827) of any width as an ONNX graph, from a state dictionary with torchreid's names.

Widths, streams, instance normalisation (IBN, AIN) and the descriptor's length are read from the names and shapes of its tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from throughline.domain.errors import InvalidInput

State = Mapping[str, NDArray[Any]]
WIDTH, HEIGHT = 128, 256
_EPSILON = 1e-5
_OPSET = 13
_STAGES = ("conv2", "conv3", "conv4")
_NEEDED = ("conv1.conv.weight", "conv2.0.conv1.conv.weight", "conv5.conv.weight", "fc.0.weight", "fc.1.running_mean")


def osnet_graph(state: State) -> onnx.ModelProto:
    """`images` (n, 3, 256, 128) float32 -> `features` (n, d). Raises InvalidInput where `state` is not that of an OSNet."""
    missing = [name for name in _NEEDED if name not in state]
    if missing:
        raise InvalidInput(
            f"the checkpoint has {len(state)} tensors ({', '.join(list(state)[:6])}, ...) but not {', '.join(missing)}; what fits is "
            "torchreid's OSNet, IBN and AIN too, of any width; export other networks to ONNX"
        )
    return _OSNet(state).model()


class _OSNet:
    """Adds nodes in the order of the network; each method takes and gives names of tensors."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._used: dict[str, onnx.TensorProto] = {}
        self._nodes: list[onnx.NodeProto] = []

    def model(self) -> onnx.ModelProto:
        tensor = self._relu(self._normalised("conv1.bn", self._conv("conv1.conv", "images", stride=2, pad=3)))
        tensor = self._add("MaxPool", tensor, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        for stage, after in zip(_STAGES, ("pool2", "pool3", ""), strict=True):
            for block in self._blocks(stage):
                tensor = self._block(f"{stage}.{block}", tensor)
            reduction = next(
                (each for each in (f"{stage}.2.0", f"{after}.0") if f"{each}.conv.weight" in self._state), ""
            )
            if reduction:
                tensor = self._relu(self._pointwise(reduction, tensor))
                tensor = self._add("AveragePool", tensor, kernel_shape=[2, 2], strides=[2, 2])
        tensor = self._relu(self._pointwise("conv5", tensor))
        tensor = self._add("Flatten", self._add("GlobalAveragePool", tensor), axis=1)
        tensor = self._add("Gemm", tensor, self._tensor("fc.0.weight"), self._tensor("fc.0.bias"), transB=1)
        features = self._relu(self._normalised("fc.1", tensor))
        length = len(self._state["fc.1.running_mean"])
        graph = helper.make_graph(
            self._nodes,
            "osnet",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, HEIGHT, WIDTH])],
            [helper.make_tensor_value_info(features, TensorProto.FLOAT, ["n", length])],
            list(self._used.values()),
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return model

    def _blocks(self, stage: str) -> list[int]:
        pattern = re.compile(rf"{stage}\.(\d+)\.conv1\.conv\.weight")
        return sorted(int(found[1]) for name in self._state if (found := pattern.fullmatch(name)))

    def _block(self, name: str, tensor: str) -> str:
        """Streams of growing depth, each through the one gate, added up; a shortcut around them all."""
        entered = self._relu(self._pointwise(f"{name}.conv1", tensor))
        gated = [self._gated(f"{name}.gate", self._stream(each, entered)) for each in self._streams(name)]
        total = gated[0]
        for each in gated[1:]:
            total = self._add("Add", total, each)
        left = self._pointwise(f"{name}.conv3", total)
        inside = f"{name}.conv3.bn.weight" not in self._state  # AIN normalises within the shortcut, IBN after it
        if inside:
            left = self._normalised(f"{name}.IN", left)
        if f"{name}.downsample.conv.weight" in self._state:
            tensor = self._pointwise(f"{name}.downsample", tensor)
        whole = self._add("Add", left, tensor)
        if not inside and f"{name}.IN.weight" in self._state:
            whole = self._normalised(f"{name}.IN", whole)
        return self._relu(whole)

    def _streams(self, name: str) -> Sequence[Sequence[str]]:
        """Names of the light convolutions of each stream: conv2a, conv2b.0 and 1, ..., or conv2.0.layers.0, ..."""
        pattern = re.compile(rf"{re.escape(name)}\.(conv2[a-z]|conv2\.\d+)(\.layers)?(\.\d+)?\.conv1\.weight")
        streams: dict[str, list[str]] = {}
        for key in self._state:
            if found := pattern.fullmatch(key):
                streams.setdefault(found[1], []).append(key.removesuffix(".conv1.weight"))
        return [sorted(each) for _, each in sorted(streams.items())]

    def _stream(self, layers: Sequence[str], tensor: str) -> str:
        for layer in layers:
            tensor = self._conv(f"{layer}.conv1", tensor)
            tensor = self._conv(f"{layer}.conv2", tensor, pad=1)
            tensor = self._relu(self._normalised(f"{layer}.bn", tensor))
        return tensor

    def _gated(self, name: str, tensor: str) -> str:
        weight = self._relu(self._conv(f"{name}.fc1", self._add("GlobalAveragePool", tensor)))
        return self._add("Mul", tensor, self._add("Sigmoid", self._conv(f"{name}.fc2", weight)))

    def _pointwise(self, name: str, tensor: str) -> str:
        tensor = self._conv(f"{name}.conv", tensor)
        return self._normalised(f"{name}.bn", tensor) if f"{name}.bn.weight" in self._state else tensor

    def _conv(self, name: str, tensor: str, stride: int = 1, pad: int = 0) -> str:
        """A convolution; a depthwise one where its filters see one channel of several."""
        weight = self._state[self._tensor(f"{name}.weight")]
        bias = [self._tensor(f"{name}.bias")] if f"{name}.bias" in self._state else []
        depthwise = name.endswith(".conv2")
        return self._add(
            "Conv",
            tensor,
            self._tensor(f"{name}.weight"),
            *bias,
            kernel_shape=list(weight.shape[2:]),
            strides=[stride, stride],
            pads=[pad] * 4,
            group=weight.shape[0] if depthwise else 1,
        )

    def _normalised(self, name: str, tensor: str) -> str:
        """By the statistics of training where there are such, else by the picture's own."""
        scale, shift = self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias")
        if f"{name}.running_mean" not in self._state:
            return self._add("InstanceNormalization", tensor, scale, shift, epsilon=_EPSILON)
        mean, variance = self._tensor(f"{name}.running_mean"), self._tensor(f"{name}.running_var")
        return self._add("BatchNormalization", tensor, scale, shift, mean, variance, epsilon=_EPSILON)

    def _relu(self, tensor: str) -> str:
        return self._add("Relu", tensor)

    def _tensor(self, name: str) -> str:
        if name not in self._state:
            raise InvalidInput(f"the checkpoint lacks {name}, which an OSNet with its other tensors has")
        self._used[name] = numpy_helper.from_array(np.ascontiguousarray(self._state[name], np.float32), name)
        return name

    def _add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name
