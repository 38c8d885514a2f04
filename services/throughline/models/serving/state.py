"""Takes the tensors out of a torch checkpoint: `python state.py checkpoint.pt tensors.npz`. In an environment that has torch.

Only tensors and plain containers are unpickled (`weights_only`), so that a checkpoint can't run code.
"""

from __future__ import annotations

import sys

import numpy as np
import torch


def main(checkpoint: str, tensors: str) -> None:
    with torch.serialization.safe_globals(_accuracies()):
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model", "net"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    state = {name.removeprefix("module."): value for name, value in content.items() if torch.is_tensor(value)}
    np.savez(tensors, **{name: value.numpy() for name, value in state.items()})


def _accuracies() -> list[object]:
    """What a training run's checkpoint keeps its accuracies as: NumPy's scalars, harmless to make."""
    kinds = (np.float32, np.float64, np.int64)
    return [np.dtype, np.float64(0).__reduce__()[0], *(type(np.dtype(kind)) for kind in kinds)]


if __name__ == "__main__":
    main(*sys.argv[1:])
