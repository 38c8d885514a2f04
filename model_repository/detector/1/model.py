"""Served by Triton's Python backend: any ONNX model on the CPU, its names, sizes and runtime taken from the model's configuration.

Copied into every model folder as `1/model.py`; runs in Triton's own environment, where Throughline is not installed.
"""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]
from runtimes import opened  # type: ignore[import-not-found]


class _Handover:
    """An array that Triton takes over by DLPack.

    Triton frees what it took, but renames the capsule to something that NumPy's own destructor doesn't know and complains about
    for every tensor; so the capsule goes without one.
    """

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = np.ascontiguousarray(array)

    def __dlpack__(self, **_: object) -> object:
        capsule = self._array.__dlpack__()
        ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
        return capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


class TritonPythonModel:
    """Runs all requests of an execution as one batch."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
        self._input = config["input"][0]["name"]
        self._outputs = [output["name"] for output in config["output"]]
        threads = os.environ.get("THROUGHLINE_INFERENCE_THREADS") or parameters.get("intra_op_threads", "0")
        path = Path(args["model_repository"], args["model_version"], "model.onnx")
        self._infer = opened(
            parameters.get("runtime", "onnxruntime"),
            str(path),
            self._outputs,
            int(threads),
            spinning=parameters.get("allow_spinning") == "1",
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        tensors = [pb_utils.get_input_tensor_by_name(request, self._input) for request in requests]
        inputs = [np.from_dlpack(tensor) for tensor in tensors]
        batch = inputs[0] if len(inputs) == 1 else np.concatenate(inputs)
        results = self._infer(batch)
        responses, start = [], 0
        for item in inputs:
            rows = slice(start, start + len(item))
            outputs = zip(self._outputs, results, strict=True)
            tensors_out = [pb_utils.Tensor.from_dlpack(name, _Handover(array[rows])) for name, array in outputs]
            responses.append(pb_utils.InferenceResponse(tensors_out))
            start = rows.stop
        return responses
