"""Writes networks as ONNX files whose batch is free and whose other sizes are fixed."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import nn

from throughline.domain.geometry import Size


def export_onnx(network: nn.Module, path: Path, size: Size, output: tuple[int, ...]) -> None:
    """Write `images` (n, 3, height, width) float32 to `output` (n, *output)."""
    torch.onnx.export(
        network.eval(),
        (torch.zeros(1, 3, size.height, size.width),),
        str(path),
        input_names=["images"],
        output_names=["output"],
        dynamic_axes={"images": {0: "batch"}, "output": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    model = onnx.load(path)
    for dimension, length in zip(model.graph.output[0].type.tensor_type.shape.dim[1:], output, strict=True):
        dimension.ClearField("dim_param")
        dimension.dim_value = length
    onnx.checker.check_model(model)
    onnx.save(model, path)
