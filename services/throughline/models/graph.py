"""Surgery on ONNX graphs: adds nodes before and after weights.

Only operators that mean the same in every opset from 11 on are used, so that weights keep the opset they were exported with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from throughline.domain.errors import InvalidInput
from throughline.models.weights import BATCH, Weights


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What weights expect of a picture: `(value - mean) / deviation` on values 0..255, planes in RGB or BGR order."""

    colours: str = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.colours not in {"rgb", "bgr"} or min(self.deviation) <= 0:
            raise InvalidInput("a normalisation takes colours `rgb` or `bgr` and deviations above 0")

    def apply(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, height, width, 3) uint8 RGB -> (n, 3, height, width) float32; mean and deviation are in the order of `colours`."""
        planes = pictures.transpose(0, 3, 1, 2).astype(np.float32)
        if self.colours == "bgr":
            planes = planes[:, ::-1]
        mean, deviation = (np.array(each, np.float32).reshape(1, 3, 1, 1) for each in (self.mean, self.deviation))
        return np.ascontiguousarray((planes - mean) / deviation)


BGR_255 = Normalisation("bgr")
"""YOLOX."""
RGB_255 = Normalisation("rgb")
UNIT = Normalisation("rgb", deviation=(255.0, 255.0, 255.0))
"""Most YOLO heads: RGB, 0 to 1."""
IMAGENET = Normalisation("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""torchreid and most of torchvision."""
IMAGENET_BGR = Normalisation("bgr", (103.53, 116.28, 123.675), (57.375, 57.12, 58.395))
"""NanoDet."""


@dataclass(frozen=True, slots=True)
class Output:
    """An output of the finished graph: the tensor it takes, its element type and its shape without the batch."""

    tensor: str
    element_type: int
    shape: tuple[int, ...]


class GraphBuilder:
    """Adds nodes after weights; `picture_input` adds those before them. Adding gives the name of what the node puts out."""

    def __init__(self, weights: Weights, one_at_a_time: tuple[int, ...] | None = None) -> None:
        """`one_at_a_time`: run the weights on one picture after the other, and give each picture's output this shape."""
        self._model = weights.batch_dynamic() if one_at_a_time is None else weights.looped(one_at_a_time)
        self._weights_input = str(self._model.graph.input[0].name)
        self.weights_output = str(self._model.graph.output[0].name)
        self._before: list[onnx.NodeProto] = []
        self._after: list[onnx.NodeProto] = []
        self._count = 0

    def constant(self, value: NDArray[np.generic]) -> str:
        """A constant tensor."""
        name = self._name()
        self._model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def ints(self, *values: int) -> str:
        """A constant vector of int64."""
        return self.constant(np.array(values, np.int64))

    def floats(self, *values: float) -> str:
        """A constant vector of float32."""
        return self.constant(np.array(values, np.float32))

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output."""
        return self._node(self._after, operator, inputs, 1, attributes)[0]

    def add_pair(self, operator: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """A node with two outputs."""
        first, second = self._node(self._after, operator, inputs, 2, attributes)
        return first, second

    def picture_input(self, name: str, normalisation: Normalisation, weights: Weights) -> None:
        """Make `name`, uint8 (n, height, width, 3) RGB, the input, and normalise it for the weights."""

        def before(operator: str, *inputs: str, **attributes: Any) -> str:
            return self._node(self._before, operator, inputs, 1, attributes)[0]

        planes = before("Cast", before("Transpose", name, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
        if normalisation.colours == "bgr":
            planes = before("Gather", planes, self.constant(np.array([2, 1, 0], np.int64)), axis=1)
        mean, deviation = (
            np.array(each, np.float32).reshape(1, 3, 1, 1) for each in (normalisation.mean, normalisation.deviation)
        )
        if mean.any():
            planes = before("Sub", planes, self.constant(mean))
        if (deviation != 1).any():
            planes = before("Div", planes, self.constant(deviation))
        self._before.append(helper.make_node("Identity", [planes], [self._weights_input]))
        graph = self._model.graph
        del graph.input[:]
        graph.input.append(
            helper.make_tensor_value_info(name, TensorProto.UINT8, [BATCH, weights.height, weights.width, 3])
        )

    def finish(self, outputs: Mapping[str, Output]) -> onnx.ModelProto:
        """The whole model with `outputs` by name."""
        graph = self._model.graph
        names = [helper.make_node("Identity", [output.tensor], [name]) for name, output in outputs.items()]
        nodes = [*self._before, *graph.node, *self._after, *names]
        del graph.node[:], graph.output[:]
        graph.node.extend(nodes)
        for name, output in outputs.items():
            graph.output.append(helper.make_tensor_value_info(name, output.element_type, [BATCH, *output.shape]))
        onnx.checker.check_model(self._model)
        return self._model

    def _node(
        self,
        nodes: list[onnx.NodeProto],
        operator: str,
        inputs: tuple[str, ...],
        outputs: int,
        attributes: Mapping[str, Any],
    ) -> list[str]:
        names = [self._name() for _ in range(outputs)]
        nodes.append(helper.make_node(operator, list(inputs), names, name=names[0], **attributes))
        return names

    def _name(self) -> str:
        self._count += 1
        return f"throughline/{self._count}"
