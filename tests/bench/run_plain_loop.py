"""Runs plain_loop.py, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.cost import Cost, cores
from throughline.perception.triton.environment import ensure_environment


def plain_loop(
    video: Path, models: Path, looked_at: NDArray[np.int64], crops: str | NDArray[np.float32], folder: Path
) -> tuple[dict[str, Any], Cost]:
    """Its boxes and vectors from some frames of a video, and what they cost. `crops`: as CROPS there. `folder` gets the files."""
    if not isinstance(crops, str):
        np.save(folder / "crops.npy", crops)
        crops = str(folder / "crops.npy")
    np.save(folder / "frames.npy", looked_at)
    environment, out = ensure_environment(), folder / "plain.npz"
    script = str(Path(__file__).with_name("plain_loop.py"))
    frames = str(folder / "frames.npy")
    arguments = [str(environment.site_packages), str(video), str(models), frames, str(cores()), crops, str(out)]
    done = subprocess.run(
        [sys.executable, script, *arguments], check=True, capture_output=True, text=True, env=os.environ
    )
    spent = json.loads(done.stdout.splitlines()[-1])
    with np.load(out) as arrays:
        return dict(arrays), Cost(spent["wall"], spent["cpu"])
