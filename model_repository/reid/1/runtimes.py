"""ONNX files on the CPU, in one runtime or the other, in 32-bit floats. In Triton's own environment, where Throughline is not installed.

Copied beside `model.py` into every model folder; `run.py` checks builds with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Infer = Callable[[Any], list[Any]]
"""From one batch, an array, to an array for each output."""


def opened(runtime: str, path: str, outputs: Sequence[str], threads: int, *, spinning: bool = False) -> Infer:
    """The model at `path` on so many `threads`, 0 for as many as the runtime likes.

    spinning: whether ONNX Runtime's idle threads spin; that takes the CPU from the processes that decode and track.
    """
    if runtime == "openvino":
        return _in_openvino(path, outputs, threads)
    return _in_onnxruntime(path, outputs, threads, spinning)


def _in_onnxruntime(path: str, outputs: Sequence[str], threads: int, spinning: bool) -> Infer:
    import onnxruntime  # noqa: PLC0415 - only the runtime that is used

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda batch: list(session.run(list(outputs), {given.name: batch}))


def _in_openvino(path: str, outputs: Sequence[str], threads: int) -> Infer:
    import openvino  # type: ignore[import-not-found]  # noqa: PLC0415 - only the runtime that is used

    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    request = compiled.create_infer_request()

    def infer(batch: Any) -> list[Any]:
        found = request.infer({0: batch})
        return [found[name].copy() for name in outputs]

    return infer
