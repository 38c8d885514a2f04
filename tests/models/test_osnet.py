"""OSNet graphs from state dictionaries of every family; what torch makes of a real checkpoint is compared in the evaluation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput
from throughline.models.osnet import HEIGHT, WIDTH, osnet_graph
from throughline.models.runtime import run_onnx

State = dict[str, NDArray[np.float32]]
CHANNELS = (8, 16, 24, 32)


class _Maker:
    """Random tensors under torchreid's names."""

    def __init__(self, family: str) -> None:
        self.state: State = {}
        self.family = family
        self._random = np.random.default_rng(4)

    def conv(self, name: str, inputs: int, outputs: int, kernel: int = 1, *, bias: bool = False) -> None:
        self.state[f"{name}.weight"] = self._values(outputs, inputs, kernel, kernel) / np.float32(
            np.sqrt(inputs) * kernel
        )
        if bias:
            self.state[f"{name}.bias"] = self._values(outputs)

    def norm(self, name: str, channels: int, *, own: bool = False) -> None:
        for part in ("weight", "bias") if own else ("weight", "bias", "running_mean", "running_var"):
            self.state[f"{name}.{part}"] = np.abs(self._values(channels)) + np.float32(0.5)

    def block(self, name: str, inputs: int, outputs: int) -> None:
        inner, ain = outputs // 4, self.family == "ain"
        self._pointwise(f"{name}.conv1", inputs, inner)
        for stream in range(4):
            for layer in range(stream + 1):
                prefix = f"{name}.conv2.{stream}.layers.{layer}" if ain else f"{name}.conv2{'abcd'[stream]}"
                prefix += f".{layer}" if stream and not ain else ""
                self.conv(f"{prefix}.conv1", inner, inner)
                self.conv(f"{prefix}.conv2", 1, inner, 3)
                self.norm(f"{prefix}.bn", inner)
        self.conv(f"{name}.gate.fc1", inner, 1, bias=True)
        self.conv(f"{name}.gate.fc2", 1, inner, bias=True)
        self.conv(f"{name}.conv3.conv", inner, outputs)
        if not ain:
            self.norm(f"{name}.conv3.bn", outputs)
        if self.family in ("ain", "ibn"):
            self.norm(f"{name}.IN", outputs, own=True)
        if inputs != outputs:
            self._pointwise(f"{name}.downsample", inputs, outputs)

    def whole(self) -> State:
        self.conv("conv1.conv", 3, CHANNELS[0], 7)
        self.norm("conv1.bn", CHANNELS[0], own=self.family != "plain")
        for number, (inputs, outputs) in enumerate(itertools.pairwise(CHANNELS), 2):
            self.block(f"conv{number}.0", inputs, outputs)
            self.block(f"conv{number}.1", outputs, outputs)
            if number < 4:
                self._pointwise(f"pool{number}.0" if self.family == "ain" else f"conv{number}.2.0", outputs, outputs)
        self._pointwise("conv5", CHANNELS[3], CHANNELS[3])
        self.state["fc.0.weight"], self.state["fc.0.bias"] = self._values(10, CHANNELS[3]), self._values(10)
        self.norm("fc.1", 10)
        return self.state

    def _pointwise(self, name: str, inputs: int, outputs: int) -> None:
        self.conv(f"{name}.conv", inputs, outputs)
        self.norm(f"{name}.bn", outputs)

    def _values(self, *shape: int) -> NDArray[np.float32]:
        return self._random.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("family", ["plain", "ibn", "ain"])
def test_each_family_of_any_width_becomes_a_graph_that_uses_all_its_tensors(family: str) -> None:
    state = _Maker(family).whole()
    graph = osnet_graph(state)
    assert {each.name for each in graph.graph.initializer} == state.keys()
    crops = np.random.default_rng(1).normal(size=(2, 3, HEIGHT, WIDTH)).astype(np.float32)
    (given,) = run_onnx(graph, [crops])
    (features,) = given.values()
    assert features.shape == (2, 10)
    assert np.isfinite(features).all()
    assert np.abs(features[0] - features[1]).max() > 0


def test_what_is_no_osnet_is_refused_with_what_was_seen() -> None:
    with pytest.raises(InvalidInput, match=r"has 1 tensors \(layer1\.weight, \.\.\.\) but not conv1\.conv\.weight"):
        osnet_graph({"layer1.weight": np.zeros(3, np.float32)})
    state = _Maker("plain").whole()
    del state["conv2.0.gate.fc1.weight"]
    with pytest.raises(InvalidInput, match=r"lacks conv2\.0\.gate\.fc1\.weight"):
        osnet_graph(state)
