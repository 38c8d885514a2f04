"""Makes the TensorRT plan that a model's config.pbtxt names. Runs where TensorRT is: in Triton's container, on the GPU that will serve."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from throughline.domain.errors import FailedPrecondition
from throughline.models.quantise import quantised
from throughline.models.repository import GPU_BATCHING, ONNX_FILE, PLAN_FILE, interface, versions
from throughline.perception.triton.card import ModelCard

_IN_CONTAINER = Path("/usr/src/tensorrt/bin/trtexec")


def build_plan(model_dir: Path, calibration: NDArray[np.uint8] | None = None) -> Path:
    """Make `model.plan`, in FP16, of the newest version's `model.onnx`; its path. A plan only runs on the kind of GPU it was made on.

    `calibration`: (n, height, width, 3) uint8 RGB of the model's input size; with them convolutions run in INT8.

    Raises FailedPrecondition when there is no trtexec, or when it fails.
    """
    program = shutil.which("trtexec") or (str(_IN_CONTAINER) if _IN_CONTAINER.is_file() else None)
    if program is None:
        raise FailedPrecondition(
            "there is no trtexec on this machine; run this command in Triton's container on the GPU that will serve, such as "
            "`docker run --gpus all -v $PWD:/work -w /work nvcr.io/nvidia/tritonserver:<release>-py3 ...`"
        )
    card = ModelCard.read(model_dir)
    received, _ = interface(card)
    folder = model_dir.absolute() / versions(model_dir)[-1]
    fresh = folder / f".{PLAN_FILE}.new"
    sizes = {"min": 1, "opt": GPU_BATCHING.preferred[0], "max": GPU_BATCHING.largest}
    shapes = [
        f"--{name}Shapes={received.name}:{'x'.join(map(str, (batch, *received.dims)))}" for name, batch in sizes.items()
    ]
    with tempfile.TemporaryDirectory() as scratch:
        source, precision = folder / ONNX_FILE, ["--fp16"]
        if calibration is not None:
            source, precision = Path(scratch, ONNX_FILE), ["--fp16", "--int8"]
            onnx.save(quantised(onnx.load(str(folder / ONNX_FILE)), calibration), str(source))
        command = [program, f"--onnx={source}", f"--saveEngine={fresh}", *precision, "--skipInference", *shapes]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedPrecondition(
            f"trtexec could not make a plan of {model_dir.name}: {(done.stderr or done.stdout).strip()[-2000:]}"
        )
    return fresh.replace(folder / PLAN_FILE)
