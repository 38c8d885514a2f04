"""From crops to unit vectors, through Triton, with several crops in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter

from throughline.domain.geometry import Size
from throughline.media.frame import Picture
from throughline.perception.in_flight import in_flight
from throughline.perception.triton.client import REID, InferenceClient
from throughline.storage.object_store import go_on
from throughline.wire.tracing import counted

T = TypeVar("T")
_CROPS = Counter("throughline_crops_embedded", "Crops that the ReID model has described")


def fitted(crop: Picture, size: Size) -> Picture:
    """A crop of any size as a ReID model wants it: stretched to `size`, as these models are trained."""
    shrinks = crop.shape[0] > size.height or crop.shape[1] > size.width
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(crop, (size.width, size.height), interpolation=interpolation), np.uint8)


def embed(
    crops: Iterable[tuple[T, Picture]],
    client: InferenceClient,
    limit: int,
    check: Callable[[], None] = go_on,
    model: str = REID,
) -> Iterator[tuple[T, NDArray[np.float32]]]:
    """Each subject with the (d,) unit vector of its crop by a ReID model, in order, with up to `limit` crops in flight, sent by the
    half of it.

    `check` is called while it waits for Triton; what it raises ends the work.
    """
    card = client.model(model)
    size = Size(card.input_width, card.input_height)

    def requests() -> Iterator[tuple[T, Callable[[], Future[NDArray[np.float32]]]]]:
        for subject, crop in crops:
            picture = fitted(crop, size)
            yield subject, lambda picture=picture: client.embed(picture, model)  # type: ignore[misc]

    described = in_flight(requests(), limit, burst=max(1, limit // 2), check=check)
    for each in counted("triton reid", described):
        _CROPS.inc()
        yield each
