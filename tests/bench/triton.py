"""Frames/s and crops/s of the served models by how many requests are under way, on a GPU where there is one.

`THROUGHLINE_TRITON_CONFIG=tensorrt` and `THROUGHLINE_TRITON_MODEL_REPOSITORY` choose plans instead of the CPU's models, and
`THROUGHLINE_TRITON_ADDRESS` a server that runs already.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.measure import Measure
from throughline.perception.in_flight import in_flight
from throughline.perception.triton.card import ModelCard
from throughline.perception.triton.client import DETECTOR, REID, InferenceClient, Picture
from throughline.perception.triton.server import TritonServer, TritonSettings

_ADDRESS = "THROUGHLINE_TRITON_ADDRESS"
_SECONDS = 3.0
_ON_GPU, _ON_CPU = (1, 2, 4, 8, 16, 32, 64), (1, 2, 4, 8)


def run() -> list[Measure]:
    """Each model with as many requests under way as each batch size, which the server then can gather."""
    on_gpu = _ADDRESS in os.environ or TritonSettings().config == "tensorrt"
    measures = []
    with tempfile.TemporaryDirectory() as folder, _address(Path(folder)) as address:
        for batch in _ON_GPU if on_gpu else _ON_CPU:
            with InferenceClient(address, max_in_flight=2 * batch) as client:
                asked = ((DETECTOR, client.detect, "frames/s"), (REID, partial(_one_crop, client), "crops/s"))
                for name, ask, unit in asked:
                    before = client.statistics(name)
                    rate = _rate(client.model(name), ask, batch)
                    after = client.statistics(name)
                    executed = max(1, after.execution_count - before.execution_count)
                    mean = (after.inference_count - before.inference_count) / executed
                    measures += [
                        Measure(f"triton, {name}, batch {batch}", rate, unit),
                        Measure(f"triton, {name}, batch {batch}: executed in batches of", mean, ""),
                    ]
    return measures


@contextlib.contextmanager
def _address(folder: Path) -> Iterator[str]:
    if _ADDRESS in os.environ:
        yield os.environ[_ADDRESS]
        return
    with TritonServer(TritonSettings(log=folder / "triton.log")) as server:
        yield server.grpc_address


def _one_crop(client: InferenceClient, crop: Picture) -> Future[Any]:
    return client.embed(crop[None])


def _rate(card: ModelCard, ask: Callable[[Any], Future[Any]], batch: int) -> float:
    """Pictures a second over a few seconds, after a second to warm up."""
    pictures = np.random.default_rng(0).integers(0, 255, (8, card.input_height, card.input_width, 3), np.uint8)
    _count(pictures, ask, batch, 1.0)
    start = time.perf_counter()
    return _count(pictures, ask, batch, _SECONDS) / (time.perf_counter() - start)


def _count(pictures: Any, ask: Callable[[Any], Future[Any]], batch: int, seconds: float) -> int:
    end = time.perf_counter() + seconds

    def requests() -> Iterator[tuple[int, Callable[[], Future[Any]]]]:
        number = 0
        while time.perf_counter() < end:
            picture = pictures[number % len(pictures)]
            yield number, lambda picture=picture: ask(picture)  # type: ignore[misc]
            number += 1

    return sum(1 for _ in in_flight(requests(), 2 * batch))
