"""Makes ONNX weights of a torchreid checkpoint. Torch only reads the file, in a process of its own; the graph is made without it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

import numpy as np
import onnx

from throughline.domain.errors import FailedPrecondition, InvalidInput, NotFound
from throughline.models.osnet import State, osnet_graph

TORCH_PYTHON = "THROUGHLINE_TORCH_PYTHON"
"""Names the Python of another environment that has torch."""
_MAGIC = (b"PK\x03\x04", b"\x80\x02")
"""How checkpoints begin: a zip archive, or a bare pickle as before torch 1.6."""


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a torch checkpoint, by its first bytes."""
    if not path.is_file():
        raise NotFound(f"no weights at {path}")
    with path.open("rb") as file:
        return file.read(4).startswith(_MAGIC)


def onnx_from_checkpoint(checkpoint: Path, onnx_file: Path) -> Path:
    """Write the checkpoint's OSNet as ONNX. Raises FailedPrecondition without torch, InvalidInput where it is no OSNet."""
    onnx.save(osnet_graph(read_state(checkpoint)), str(onnx_file))
    return onnx_file


def read_state(checkpoint: Path) -> State:
    """The tensors of a checkpoint by name."""
    python = os.environ.get(TORCH_PYTHON) or sys.executable
    script = resources.files("throughline.models").joinpath("serving/state.py")
    with tempfile.TemporaryDirectory() as folder, resources.as_file(script) as program:
        tensors = Path(folder, "tensors.npz")
        command = [python, "-W", "ignore", str(program), str(checkpoint), str(tensors)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "No module named 'torch'" in done.stderr:
            raise FailedPrecondition(
                f"{checkpoint.name} is a torch checkpoint, and {python} has no torch; install it with "
                f"`pip install throughline[torch]`, in a checkout with `uv sync --extra embedded --extra torch`, or name the Python of "
                f"an environment that has it in {TORCH_PYTHON}"
            )
        if done.returncode:
            raise InvalidInput(f"{checkpoint.name} cannot be read as a torch checkpoint: {done.stderr.strip()[-800:]}")
        with np.load(tensors) as arrays:
            return {name: arrays[name] for name in arrays.files}
