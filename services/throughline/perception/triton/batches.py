"""How well Triton's batches are filled, asked of it whenever Prometheus asks."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from throughline.domain.errors import ThroughlineError
from throughline.perception.triton.client import DETECTOR, REID, InferenceClient


class Batches(Collector):
    """Pictures and batches of each model since Triton started; their ratio is the mean batch. Nothing while it does not answer."""

    def __init__(self, client: InferenceClient) -> None:
        self._client = client

    def describe(self) -> Iterable[CounterMetricFamily]:
        return _families()

    def collect(self) -> Iterable[CounterMetricFamily]:
        pictures, batches = families = _families()
        for model in (DETECTOR, REID):
            try:
                counted = self._client.statistics(model, patience_seconds=0.0)
            except ThroughlineError:
                return []
            pictures.add_metric([model], counted.inference_count)
            batches.add_metric([model], counted.execution_count)
        return families


def _families() -> tuple[CounterMetricFamily, CounterMetricFamily]:
    return (
        CounterMetricFamily("throughline_triton_pictures", "Pictures that Triton has had", labels=["model"]),
        CounterMetricFamily("throughline_triton_batches", "Batches that it executed them in", labels=["model"]),
    )
