"""From frames to detections: letterbox, ask Triton with several frames in flight, map back to the source frame."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from functools import partial

import numpy as np
from prometheus_client import Counter

from throughline.domain.errors import CorruptArtifact
from throughline.domain.geometry import Letterbox, Size
from throughline.domain.time import Instant
from throughline.media.frame import Frame
from throughline.perception.crops import Crop
from throughline.perception.in_flight import in_flight
from throughline.perception.letterbox import letterboxed
from throughline.perception.triton.card import ModelCard
from throughline.perception.triton.client import DETECTOR, Detections, InferenceClient
from throughline.storage.detections import FrameDetections
from throughline.storage.object_store import go_on
from throughline.wire.tracing import counted

PERSON = "person"
_SMALLEST_PX = 1.0
_FRAMES_HELD = 3
"""Frames back whose crops are not copied yet."""
_LEAST_CROP_SCORE = 0.1
"""Whom the detector is less sure of becomes part of no track."""
_FRAMES = Counter("throughline_frames_detected", "Frames that the detector has looked at")


def detect(
    frames: Iterable[Frame], client: InferenceClient, limit: int, check: Callable[[], None] = go_on
) -> Iterator[FrameDetections]:
    """What the detector finds in each frame, in order, with up to `limit` frames decoded and with it; boxes lie within the frame, and
    people's crops come with them.

    `check` is called while it waits for Triton; what it raises ends the work.
    """
    card = client.model(DETECTOR)
    canvas, person = Size(card.input_width, card.input_height), person_class(card)

    def requests() -> Iterator[tuple[tuple[Frame, Letterbox], Callable[[], Future[Detections]]]]:
        for frame in frames:
            letterbox = Letterbox(frame.size, canvas)
            yield (frame, letterbox), partial(client.detect, letterboxed(frame, letterbox))

    recent: deque[list[weakref.ref[Crop]]] = deque()
    with closing(in_flight(requests(), limit, check)) as answers:
        for (frame, letterbox), found in counted("triton detector", answers):
            _FRAMES.inc()
            placed = _on_source(frame.time, letterbox, found)
            rows = np.flatnonzero((placed.class_ids == person) & (placed.scores >= _LEAST_CROP_SCORE)).tolist()
            crops = {row: Crop(frame, tuple(placed.boxes[row].tolist())) for row in rows}
            recent.append([weakref.ref(crop) for crop in crops.values()])
            if len(recent) > _FRAMES_HELD:
                _keep_wanted(recent.popleft())
            yield replace(placed, crops=crops)
        for crops_left in recent:
            _keep_wanted(crops_left)


def _keep_wanted(crops: list[weakref.ref[Crop]]) -> None:
    """Copy those crops out of their frame that somebody still holds on to: for most a better one has come."""
    for each in crops:
        crop = each()
        if crop is not None:
            crop.keep()


def person_class(detector: ModelCard) -> int:
    """Number of the class of people; raise CorruptArtifact where the detector has none."""
    if PERSON not in detector.class_names:
        raise CorruptArtifact(
            f"detector {detector.name} knows {', '.join(detector.class_names) or 'no classes'}, not {PERSON}; build it with its class names"
        )
    return detector.class_names.index(PERSON)


def _on_source(time: Instant, letterbox: Letterbox, found: Detections) -> FrameDetections:
    size = letterbox.source
    bounds = np.array([size.width, size.height, size.width, size.height], np.float32)
    boxes = np.clip(letterbox.to_source(found.boxes), 0, bounds)
    kept = ((boxes[:, 2:] - boxes[:, :2]) >= _SMALLEST_PX).all(axis=1)
    return FrameDetections(time.ns, boxes[kept], found.scores[kept], found.classes[kept])
