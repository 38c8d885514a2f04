"""Runs one ONNX model in one CPU runtime: `python in_runtime.py RUNTIME MODEL PICTURES OUT BATCH THREADS SECONDS OUTPUT...`.

In Triton's own environment, with the folder of `runtimes.py` on PYTHONPATH. PICTURES is .npy, (n, h, w, 3) uint8; OUT gets the outputs for
all pictures as .npz; the last line printed is JSON: pictures, wall-clock and CPU seconds.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
from runtimes import opened  # type: ignore[import-not-found]


def main(*arguments: str) -> None:
    runtime, model, pictures, out, batch, threads, seconds, *names = arguments
    infer = opened(runtime, model, names, int(threads))
    given = np.load(pictures)
    size = int(batch)
    parts = [given[start : start + size] for start in range(0, len(given), size)]
    outputs = [infer(part) for part in parts]
    found: dict[str, Any] = dict(zip(names, map(np.concatenate, zip(*outputs, strict=True)), strict=True))
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
