"""Runs an ONNX file on recorded inputs: `python run.py RUNTIME model.onnx inputs.npz outputs.npz OUTPUT...`. In Triton's own environment.

`inputs.npz` holds one array per run; `outputs.npz` gets theirs as `<run>/<output name>`, runs counted from 0.
"""

from __future__ import annotations

import sys

import numpy as np
from runtimes import opened  # type: ignore[import-not-found]


def main(runtime: str, model: str, inputs: str, outputs: str, *names: str) -> None:
    infer = opened(runtime, model, names, threads=0)
    results = {}
    with np.load(inputs) as recorded:
        for run, key in enumerate(recorded.files):
            for name, array in zip(names, infer(recorded[key]), strict=True):
                results[f"{run}/{name}"] = array
    np.savez(outputs, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
