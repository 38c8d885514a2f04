"""From crops to unit vectors, through Triton, a few in each request and several requests in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from opentelemetry.trace import SpanKind
from prometheus_client import Counter

from throughline.domain.geometry import Size
from throughline.media.frame import Picture
from throughline.media.scaling import scaled
from throughline.perception.in_flight import awaited
from throughline.perception.triton.client import REID, InferenceClient
from throughline.storage.object_store import go_on
from throughline.wire.tracing import COUNT, begin_span

T = TypeVar("T")
_CROPS = Counter("throughline_crops_embedded", "Crops that the ReID model has described")


def fitted(crop: Picture, size: Size) -> Picture:
    """A crop of any size as a ReID model wants it: stretched to `size`, as these models are trained."""
    return scaled(crop, size)


class Embedder(Generic[T]):
    """Sends crops as they come, in packs of as many as the model takes at once and the half of `limit` at most, with about `limit`
    under way, and hands each subject with the (d,) unit vector of its crop to `take`, in order. It must be finished or cancelled.

    `check` is called while it waits for Triton; what it raises ends the work. `model`: the ReID model.
    """

    def __init__(
        self,
        client: InferenceClient,
        limit: int,
        take: Callable[[T, NDArray[np.float32]], None],
        check: Callable[[], None] = go_on,
        model: str = REID,
    ) -> None:
        card = client.model(model)
        self._model = model
        self._size = Size(card.input_width, card.input_height)
        self._client, self._take, self._check = client, take, check
        self._together = max(1, min(client.largest_batch(model), limit // 2))
        self._most_packs = max(1, limit // self._together)
        self._ready: list[tuple[T, Picture]] = []
        self._waiting: deque[tuple[list[T], Future[NDArray[np.float32]]]] = deque()
        self._span, self._count = begin_span("triton reid", SpanKind.CLIENT), 0

    def add(self, subject: T, crop: Picture) -> None:
        """One more crop, (height, width, 3) uint8 RGB."""
        self._ready.append((subject, fitted(crop, self._size)))
        if len(self._ready) == self._together:
            self._send()

    def finish(self) -> None:
        """Wait for all answers."""
        if self._ready:
            self._send()
        while self._waiting:
            self._take_first()
        self._end_span()

    def cancel(self) -> None:
        """Drop what is under way."""
        for _, answer in self._waiting:
            answer.cancel()
        self._end_span()

    def _send(self) -> None:
        while self._waiting and (len(self._waiting) >= self._most_packs or self._waiting[0][1].done()):
            self._take_first()
        subjects, pictures = zip(*self._ready, strict=True)
        self._waiting.append((list(subjects), self._client.embed(np.stack(pictures), self._model)))
        self._ready = []

    def _take_first(self) -> None:
        vectors = awaited(self._waiting[0][1], self._check)
        subjects, _ = self._waiting.popleft()
        _CROPS.inc(len(subjects))
        self._count += len(subjects)
        for subject, vector in zip(subjects, vectors, strict=True):
            self._take(subject, vector)

    def _end_span(self) -> None:
        self._span.set_attribute(COUNT, self._count)
        self._span.end()
