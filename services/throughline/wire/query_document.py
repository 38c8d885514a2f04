"""The query as upstream writes it, JSON: its model, and the domain's Query made of it.

{"camera": "cam2", "label": "red coat", "frame_size": {"width": 1280, "height": 720}, "box_format": "xyxy", "box_units": "pixels",
 "observations": [{"time": "2026-03-01T10:00:00.250Z", "box": [410, 120, 470, 300]}, {"chunk": "10-00-00.mp4", "frame": 12, "box": ...}]}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Discriminator, FailFast, Field, Tag, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from throughline.domain.errors import InvalidInput, InvalidQuery, LimitExceeded, NotFound
from throughline.domain.geometry import Size
from throughline.domain.query import Query
from throughline.domain.time import NS_PER_SECOND, Instant, Interval
from throughline.wire.query_mistakes import invalid_query
from throughline.wire.query_values import EXACT_NUMBERS, BoxNumbers, QueryTime

MAX_BYTES = 16 * 2**20
MAX_OBSERVATIONS = 200_000
LOOKED_AT_WHOLE = 1_000
"""Of these first observations every mistake is named; further on the first one."""
MOST_SEPARATORS = 10 * MAX_OBSERVATIONS
"""An observation takes eight commas and brackets; what has far more of them is refused before it fills the memory."""
EDGE_TOLERANCE_PX = 1.0
"""How far a box may stick out of the frame, from rounding, before it is a mistake; it is cut off."""
TIME_TOLERANCE_NS = NS_PER_SECOND
"""How far a time may lie outside of what there is, from rounding, before it is a mistake."""

SHAPE_TOLERANCE = 0.02
"""How far two ratios of width to height may differ, from rounding, before boxes are taken for deformed."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FrameSize(_Part):
    """The upright frame that the boxes were measured in, in pixels."""

    width: int = Field(ge=1, le=16_384, strict=True)
    height: int = Field(ge=1, le=16_384, strict=True)


class TimedObservation(_Part):
    """Where the person was at a moment of the camera's clock."""

    time: QueryTime
    box: BoxNumbers


class FrameObservation(_Part):
    """Where the person was in one frame, counted from 0, of one of the camera's chunks."""

    chunk: str = Field(min_length=1, max_length=1024)
    frame: int = Field(ge=0, le=2**31 - 1, strict=True)
    box: BoxNumbers


def _kind(value: Any) -> str:
    keys = value if isinstance(value, dict) else getattr(value, "__dict__", ())
    return "frame" if "time" not in keys and ("chunk" in keys or "frame" in keys) else "timed"


Observation = Annotated[
    Annotated[TimedObservation, Tag("timed")] | Annotated[FrameObservation, Tag("frame")], Discriminator(_kind)
]


class QueryDocument(_Part):
    """One person's track in one camera."""

    camera: str = Field(min_length=1, max_length=1024)
    """Name of the camera's folder."""
    label: str = Field(default="", max_length=1024)
    """Free words that name the person."""
    frame_size: FrameSize
    box_format: Literal["xyxy", "xywh"] = "xyxy"
    """Left, top, right, bottom; or left, top, width, height."""
    box_units: Literal["pixels", "normalised"] = "pixels"
    """Pixels of `frame_size`, or fractions of it from 0 to 1."""
    observations: tuple[Observation, ...] = Field(min_length=1, max_length=MAX_OBSERVATIONS)

    @model_validator(mode="after")
    def _boxes_inside(self) -> QueryDocument:
        mistakes = _box_mistakes(self)
        if mistakes:
            raise PydanticCustomError("boxes", "{mistakes}", {"mistakes": mistakes})
        return self

    def boxes_px(self) -> NDArray[np.float64]:
        """(n, 4) xyxy, pixels of `frame_size`, not yet cut to the frame."""
        boxes = np.array([observation.box for observation in self.observations], np.float64)
        if self.box_units == "normalised":
            boxes *= np.tile([self.frame_size.width, self.frame_size.height], 2)
        if self.box_format == "xywh":
            boxes[:, 2:] += boxes[:, :2]
        return boxes


class _LongQueryDocument(QueryDocument):
    """Ends at the first observation that is wrong: hundreds of thousands of mistakes would fill the memory."""

    observations: Annotated[tuple[Observation, ...], FailFast()] = Field(min_length=1, max_length=MAX_OBSERVATIONS)


def parse_query(text: str | bytes) -> QueryDocument:
    """Read a query; raise InvalidQuery, which names every mistake by its path and what was expected, or LimitExceeded."""
    size = len(text.encode(errors="replace") if isinstance(text, str) else text)
    if size > MAX_BYTES:
        raise LimitExceeded(
            f"the query's JSON has {size} bytes; at most {MAX_BYTES} are taken, so give fewer observations"
        )
    value = _read(text)
    observations = value.get("observations") if isinstance(value, dict) else None
    try:
        if not isinstance(observations, list) or len(observations) <= LOOKED_AT_WHOLE:
            return QueryDocument.model_validate(value)
        if len(observations) > MAX_OBSERVATIONS:
            raise InvalidQuery("observations", f"expected at most {MAX_OBSERVATIONS} items, not {len(observations)}")
        QueryDocument.model_validate(value | {"observations": observations[:LOOKED_AT_WHOLE]})
        return _LongQueryDocument.model_validate(value)
    except ValidationError as error:
        raise invalid_query(error) from error


def _read(text: str | bytes) -> Any:
    """The value that the JSON stands for; memory stays within some ten times its length."""
    try:
        content = (text if isinstance(text, str) else text.decode("utf-8")).removeprefix("\ufeff")
        if sum(map(content.count, "[{,")) > MOST_SEPARATORS:
            raise InvalidQuery(
                "observations", f"expected at most {MAX_OBSERVATIONS} items; there is far more in the JSON"
            )
        return json.loads(content, object_pairs_hook=_object, **EXACT_NUMBERS)
    except json.JSONDecodeError as error:
        raise InvalidQuery("", f"expected JSON; {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise InvalidQuery("", "expected JSON of a query; this is nested far deeper than one") from error
    except UnicodeDecodeError as error:
        raise InvalidQuery("", f"expected JSON in UTF-8; {error}") from error


def check_times(document: QueryDocument, span: Interval, of: str) -> None:
    """Raise InvalidQuery with the path of the first time that lies outside of `span`, in camera time; `of` says what that is of.

    Observations by chunk and frame are not looked at.
    """
    allowed = span.padded(TIME_TOLERANCE_NS, TIME_TOLERANCE_NS)
    for index, observation in enumerate(document.observations):
        if isinstance(observation, TimedObservation) and observation.time not in allowed:
            raise InvalidQuery(
                f"observations[{index}].time",
                f"expected a time within {of}, {span.start} to {span.end} by the camera's own clock, not {observation.time}",
            )


def deformation(document: QueryDocument, sizes: Sequence[Size]) -> str:
    """What to tell of a `frame_size` whose boxes fit none of the camera's own frame sizes without being deformed; else empty."""
    given = document.frame_size
    own = [size for size in sizes if abs(given.width * size.height / (given.height * size.width) - 1) > SHAPE_TOLERANCE]
    if not sizes or len(own) < len(sizes):
        return ""
    return (
        f"frame_size of the query is {given.width}x{given.height}, which has another shape than the frames of camera "
        f"{document.camera}, {' and '.join(f'{size.width}x{size.height}' for size in own)}: its boxes are stretched to them. "
        "If the query is not found, give its boxes in pixels of upright frames without bars at their edges"
    )


def resolve(
    document: QueryDocument,
    chunk_frame_time: Callable[[str, int], Instant],
    source_size: Size | None = None,
) -> Query:
    """The query in order of time, boxes in pixels of the upright source frame.

    `chunk_frame_time` gives the camera time of a chunk's frame; what it raises as NotFound or InvalidInput becomes InvalidQuery with
    the observation's path. `source_size`: the camera's own frame; boxes are scaled to it from the query's `frame_size`.
    """
    times = np.array(
        [_time(index, observation, chunk_frame_time) for index, observation in enumerate(document.observations)],
        np.int64,
    )
    order = np.argsort(times, kind="stable")
    repeated = np.flatnonzero(np.diff(times[order]) == 0)
    if len(repeated):
        first, second = sorted(int(order[repeated[0] + i]) for i in (0, 1))
        when = Instant(int(times[second]))
        raise InvalidQuery(
            f"observations[{second}]", f"expected a time of its own; {when} is that of observations[{first}]"
        )
    frame = np.tile([document.frame_size.width, document.frame_size.height], 2).astype(np.float64)
    boxes = np.clip(document.boxes_px(), 0.0, frame)
    if source_size is not None:
        boxes *= np.tile([source_size.width, source_size.height], 2) / frame
    return Query(document.camera, document.label, times[order], boxes[order].astype(np.float32))


def _time(
    index: int, observation: TimedObservation | FrameObservation, chunk_frame_time: Callable[[str, int], Instant]
) -> int:
    if isinstance(observation, TimedObservation):
        return observation.time.ns
    try:
        return chunk_frame_time(observation.chunk, observation.frame).ns
    except (NotFound, InvalidInput) as error:
        raise InvalidQuery(f"observations[{index}]", f"expected a frame of a chunk of this camera; {error}") from error


def _box_mistakes(document: QueryDocument) -> list[tuple[str, str]]:
    """Path and expectation for every box that is empty or outside of the frame."""
    width, height = document.frame_size.width, document.frame_size.height
    frame, boxes = np.array([width, height] * 2), document.boxes_px()
    cut = np.clip(boxes, 0, frame)
    outside = np.asarray((np.abs(cut - boxes) > EDGE_TOLERANCE_PX).any(axis=1))
    empty = np.asarray((cut[:, 2:] <= cut[:, :2]).any(axis=1))
    limits = f"0 to {width} and 0 to {height} pixels" if document.box_units == "pixels" else "0 to 1"
    sides = "width and height over 0" if document.box_format == "xywh" else "right over left and bottom over top"
    mistakes = []
    for index in np.flatnonzero(empty | outside):
        expected = f"a box inside the frame, {limits}" if outside[index] else f"{document.box_format} with {sides}"
        box = ", ".join(f"{number:g}" for number in document.observations[index].box)
        mistakes.append((f"observations[{index}].box", f"expected {expected}, not [{box}]"))
    return mistakes


class _Twice:
    """Stands where an object has a key twice, for the validators, which know its path."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __repr__(self) -> str:
        return f"one with the key {self._key[:60]!r} twice"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Twice:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            return _Twice(key)
        found[key] = value
    return found
