"""ONNX Runtime against OpenVINO on the CPU, in floating point and in INT8: speed, and how far the answers lie apart.

Needs THROUGHLINE_REALDATA (weights, and MOT17-mini's pictures). Figures are of one process, without Triton; runtimes take turns, and the
best of three counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import version_converter
from rich.console import Console

from tests.bench.cost import cores
from tests.bench.measure import Measure
from tests.evaluation.models import model_crops, model_frames
from throughline.domain.geometry import iou_matrix
from throughline.models.build import build_detector, build_reid
from throughline.models.quantise import quantised
from throughline.perception.triton.environment import ensure_environment

_RUNTIMES = ("onnxruntime", "openvino")
_TURNS, _SECONDS, _BATCH = 3, 3.0, 4
_OPSET = 13
"""The oldest with scales for each channel."""
_SURE, _SAME = 0.5, 0.9


def run() -> list[Measure]:
    """Both models in both runtimes and precisions."""
    if "THROUGHLINE_REALDATA" not in os.environ:
        Console(stderr=True).print("runtimes: skipped; set THROUGHLINE_REALDATA")
        return []
    real = Path(os.environ["THROUGHLINE_REALDATA"])
    measures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_detector(real / "weights" / "yolox_nano.onnx", folder, keep_classes=("person",), licence="Apache-2.0")
        build_reid(real / "weights" / "osnet_x0_25_msmt17.onnx", folder, licence="MIT")
        for model, pictures, unit in (
            ("detector", model_frames(real), "images/s"),
            ("reid", model_crops(real), "crops/s"),
        ):
            np.save(folder / f"{model}.npy", pictures)
            whole = onnx.load(str(folder / model / "1" / "model.onnx"))
            onnx.save(whole, str(folder / f"{model}-fp32.onnx"))
            newer = version_converter.convert_version(whole, _OPSET)
            onnx.save(quantised(newer, pictures[::4]), str(folder / f"{model}-int8.onnx"))
            measures += _compared(folder, model, unit)
    return measures


def _compared(folder: Path, model: str, unit: str) -> list[Measure]:
    kinds = [(runtime, precision) for precision in ("fp32", "int8") for runtime in _RUNTIMES]
    rates: dict[tuple[str, str], list[tuple[float, float]]] = {kind: [] for kind in kinds}
    outputs: dict[tuple[str, str], dict[str, NDArray[Any]]] = {}
    for _ in range(_TURNS):
        for kind in kinds:
            rate, outputs[kind] = _run(folder, model, *kind)
            rates[kind].append(rate)
    reference = outputs[kinds[0]]
    measures = []
    for kind in kinds:
        name = f"runtimes, {model}, {kind[0]} {kind[1]}"
        measures += [
            Measure(f"{name}, {_BATCH} at once", max(wall for wall, _ in rates[kind]), unit),
            Measure(f"{name}, CPU", min(cpu for _, cpu in rates[kind]), "ms"),
            Measure(
                f"{name}, {'boxes found' if model == 'detector' else 'least cosine'}",
                _agreement(model, reference, outputs[kind]),
                "",
            ),
        ]
    return measures


def _run(folder: Path, model: str, runtime: str, precision: str) -> tuple[tuple[float, float], dict[str, NDArray[Any]]]:
    """Pictures a second and CPU milliseconds a picture, and the outputs."""
    script, out = str(Path(__file__).with_name("in_runtime.py")), folder / "out.npz"
    onnx_file = folder / f"{model}-{precision}.onnx"
    names = [each.name for each in onnx.load(str(onnx_file)).graph.output]
    environment = ensure_environment()
    files = [str(onnx_file), str(folder / f"{model}.npy"), str(out)]
    command = [str(environment.python), script, runtime, *files, str(_BATCH), str(cores()), str(_SECONDS), *names]
    with resources.as_file(resources.files("throughline.models").joinpath("serving")) as scripts:
        variables = {**environment.variables(os.environ), "PYTHONPATH": str(scripts)}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
    spent = json.loads(done.stdout.splitlines()[-1])
    with np.load(out) as arrays:
        return (spent["pictures"] / spent["wall"], 1e3 * spent["cpu"] / spent["pictures"]), dict(arrays)


def _agreement(model: str, one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> float:
    """Least cosine of two descriptors of a crop; or the share of the sure boxes that the other has in the same place."""
    if model == "reid":
        return float((one["embeddings"] * other["embeddings"]).sum(axis=1).min())
    found = total = 0
    for row in range(len(one["count"])):
        sure = one["scores"][row] >= _SURE
        there = other["scores"][row] > 0
        total += int(sure.sum())
        if sure.any() and there.any():
            overlap = iou_matrix(one["boxes"][row][sure], other["boxes"][row][there])
            found += int((overlap.max(axis=1) >= _SAME).sum())
    return found / max(1, total)
