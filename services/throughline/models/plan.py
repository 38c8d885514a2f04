"""Makes the TensorRT plan that a model's config.pbtxt names. Runs where TensorRT is: in Triton's container, on the GPU that will serve."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from throughline.domain.errors import FailedPrecondition
from throughline.models.repository import GPU_BATCHING, ONNX_FILE, PLAN_FILE, VERSION, interface
from throughline.perception.triton.card import ModelCard

_IN_CONTAINER = Path("/usr/src/tensorrt/bin/trtexec")


def build_plan(model_dir: Path) -> Path:
    """Make `1/model.plan`, in FP16, from `1/model.onnx`; its path. A plan only runs on the kind of GPU that it was made on.

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
    folder = model_dir.absolute() / VERSION
    fresh = folder / f".{PLAN_FILE}.new"
    sizes = {"min": 1, "opt": GPU_BATCHING.preferred[0], "max": GPU_BATCHING.largest}
    shapes = [
        f"--{name}Shapes={received.name}:{'x'.join(map(str, (batch, *received.dims)))}" for name, batch in sizes.items()
    ]
    command = [program, f"--onnx={folder / ONNX_FILE}", f"--saveEngine={fresh}", "--fp16", "--skipInference", *shapes]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedPrecondition(
            f"trtexec could not make a plan of {model_dir.name}: {(done.stderr or done.stdout).strip()[-2000:]}"
        )
    return fresh.replace(folder / PLAN_FILE)
