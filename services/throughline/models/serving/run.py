"""Runs an ONNX file on recorded inputs: `python run.py model.onnx inputs.npz outputs.npz`. In Triton's own environment.

`inputs.npz` holds one array per run; `outputs.npz` gets theirs as `<run>/<output name>`, runs counted from 0.
"""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime as ort


def main(model: str, inputs: str, outputs: str) -> None:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    results = {}
    with np.load(inputs) as recorded:
        for run, key in enumerate(recorded.files):
            for output, array in zip(session.get_outputs(), session.run(None, {name: recorded[key]}), strict=True):
                results[f"{run}/{output.name}"] = array
    np.savez(outputs, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
