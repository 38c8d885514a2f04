"""Runs one ONNX model in one CPU runtime: `python in_runtime.py onnxruntime|openvino MODEL PICTURES OUT BATCH THREADS SECONDS`.

In an environment that has both. PICTURES is .npy, (n, h, w, 3) uint8; OUT gets the outputs for all pictures as .npz; the last line
of the output is JSON: pictures, wall-clock and CPU seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Infer = Callable[[Any], dict[str, Any]]


def with_onnxruntime(model: str, threads: int) -> Infer:
    import onnxruntime  # noqa: PLC0415 - in this script's own environment only

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    given = session.get_inputs()[0].name
    return lambda batch: dict(zip(names, session.run(names, {given: batch}), strict=True))


def with_openvino(model: str, threads: int) -> Infer:
    import openvino  # type: ignore[import-not-found]  # noqa: PLC0415 - in this script's own environment only

    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", settings)
    request = compiled.create_infer_request()

    def infer(batch: Any) -> dict[str, Any]:
        found = request.infer({0: batch})
        return {each.any_name: np.array(found[each]) for each in compiled.outputs}

    return infer


def main(*arguments: str) -> None:
    runtime, model, pictures, out, batch, threads, seconds = arguments
    infer = {"onnxruntime": with_onnxruntime, "openvino": with_openvino}[runtime](model, int(threads))
    given = np.load(pictures)
    size = int(batch)
    parts = [given[start : start + size] for start in range(0, len(given), size)]
    outputs = [infer(part) for part in parts]
    found: dict[str, Any] = {name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]}
    np.savez(out, **found)
    full = [part for part in parts if len(part) == size]
    count, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < float(seconds):
        infer(full[count % len(full)])
        count += 1
    spent = {"pictures": count * size, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(spent))


if __name__ == "__main__":
    main(*sys.argv[1:])
