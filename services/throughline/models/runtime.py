"""Runs ONNX files outside of Triton, with the very runtime that serves them, to check a build."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput
from throughline.perception.triton.environment import TritonEnvironment, ensure_environment

Array = NDArray[Any]
Runtime = Literal["onnxruntime", "openvino"]
CPU_RUNTIMES: Mapping[str, Runtime] = {"detector": "onnxruntime", "reid": "openvino"}
"""By kind of model, the faster one of two that give the same answers; docs/decisions/0041 has the figures."""


def run_onnx(
    model: onnx.ModelProto,
    inputs: Sequence[Array],
    runtime: Runtime = "onnxruntime",
    environment: TritonEnvironment | None = None,
) -> list[Mapping[str, Array]]:
    """Outputs by name of `model` for each of `inputs`, a whole batch each. Raises InvalidInput when it doesn't run."""
    environment = environment or ensure_environment()
    scripts = resources.files("throughline.models").joinpath("serving")
    with tempfile.TemporaryDirectory() as folder, resources.as_file(scripts) as programs:
        path, given, results = (Path(folder, name) for name in ("model.onnx", "inputs.npz", "outputs.npz"))
        onnx.save(model, str(path))
        np.savez(given, *inputs)
        names = [each.name for each in model.graph.output]
        command = [environment.python, programs / "run.py", runtime, path, given, results, *names]
        done = subprocess.run(
            command, env=environment.variables(os.environ), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise InvalidInput(f"the graph does not run: {done.stderr.strip()[-1500:]}")
        with np.load(results) as arrays:
            runs: list[dict[str, Array]] = [{} for _ in inputs]
            for key in arrays.files:
                run, name = key.split("/", 1)
                runs[int(run)][name] = arrays[key]
    return list(runs)
