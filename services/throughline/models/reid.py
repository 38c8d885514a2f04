"""The served ReID model's graph: any backbone that gives one descriptor a crop, made to give unit vectors."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from throughline.models.graph import GraphBuilder, Normalisation, Output
from throughline.models.weights import Weights, shown

_LEAST_LENGTH = 1e-12


def embedding_dim(weights: Weights) -> int:
    """Values of a descriptor. Raises InvalidInput when the output is something else."""
    shape = weights.output_shape
    if len(shape) < 2 or shape[1] is None or any(each != 1 for each in shape[2:]):
        raise weights.refusal(f"an output {shown(shape)}", "one descriptor a crop, (n, d)")
    return shape[1]


def reid_graph(weights: Weights, normalisation: Normalisation, *, looped: bool = False) -> onnx.ModelProto:
    """`crops` uint8 (n, height, width, 3) RGB -> `embeddings` float32 (n, d), each of length 1. `looped`: for weights that can take
    only one crop at a time."""
    d = embedding_dim(weights)
    graph = GraphBuilder(weights, (d,) if looped else None)
    graph.picture_input("crops", normalisation, weights)
    raw = graph.add("Reshape", graph.weights_output, graph.constant(np.array([-1, d], np.int64)))
    square = graph.add("MatMul", graph.add("Mul", raw, raw), graph.constant(np.ones((d, 1), np.float32)))
    length = graph.add("Max", graph.add("Sqrt", square), graph.constant(np.array(_LEAST_LENGTH, np.float32)))
    return graph.finish({"embeddings": Output(graph.add("Div", raw, length), TensorProto.FLOAT, (d,))})
