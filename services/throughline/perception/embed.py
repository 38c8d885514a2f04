"""From crops to unit vectors, through Triton, with several crops in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from opentelemetry.trace import SpanKind
from prometheus_client import Counter

from throughline.domain.geometry import Size
from throughline.media.frame import Picture
from throughline.perception.in_flight import take_first
from throughline.perception.triton.client import REID, InferenceClient
from throughline.storage.object_store import go_on
from throughline.wire.tracing import COUNT, begin_span

T = TypeVar("T")
_CROPS = Counter("throughline_crops_embedded", "Crops that the ReID model has described")


def fitted(crop: Picture, size: Size) -> Picture:
    """A crop of any size as a ReID model wants it: stretched to `size`, as these models are trained."""
    shrinks = crop.shape[0] > size.height or crop.shape[1] > size.width
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(crop, (size.width, size.height), interpolation=interpolation), np.uint8)


class Embedder(Generic[T]):
    """Sends crops as they come, by the half of `limit` so that the server has something to batch, with up to `limit` under way, and
    hands each subject with the (d,) unit vector of its crop to `take`, in order. It must be finished or cancelled.

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
        self._client, self._limit, self._take, self._check = client, limit, take, check
        self._ready: list[tuple[T, Picture]] = []
        self._waiting: deque[tuple[T, Future[NDArray[np.float32]]]] = deque()
        self._span, self._count = begin_span("triton reid", SpanKind.CLIENT), 0

    def add(self, subject: T, crop: Picture) -> None:
        """One more crop, (height, width, 3) uint8 RGB."""
        self._ready.append((subject, fitted(crop, self._size)))
        if len(self._ready) >= max(1, self._limit // 2):
            self._send()

    def finish(self) -> None:
        """Wait for all answers."""
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
        while self._waiting and (len(self._waiting) + len(self._ready) > self._limit or self._waiting[0][1].done()):
            self._take_first()
        self._waiting.extend((subject, self._client.embed(picture, self._model)) for subject, picture in self._ready)
        self._ready = []

    def _take_first(self) -> None:
        subject, vector = take_first(self._waiting, self._check)
        _CROPS.inc()
        self._count += 1
        self._take(subject, vector)

    def _end_span(self) -> None:
        self._span.set_attribute(COUNT, self._count)
        self._span.end()
