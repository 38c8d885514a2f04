"""Makes everybody but the subject unrecognisable in pictures, and fails rather than show somebody whom the detector saw."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import FailedPrecondition
from throughline.domain.geometry import Box, Boxes, Size
from throughline.domain.pairs import TrackId
from throughline.domain.time import NS_PER_SECOND, Instant, Interval
from throughline.domain.timeline import Appearance
from throughline.media.planes import Planes
from throughline.renderer.crowd import Crowd, Redaction, RedactionSettings
from throughline.renderer.draw import Image, size_of
from throughline.renderer.sources import CameraSource

_UNSEEN_NS = NS_PER_SECOND
"""A frame that is further than this from a look of the detector cannot be redacted."""
_COARSE = {Redaction.BODIES: 10, Redaction.HEADS: 5}
"""Squares from top to bottom of what is hidden: about one for a face."""
_SAMPLES = 12
"""The check looks at so many points of a box across and down."""


@dataclass(frozen=True, slots=True)
class Redactor:
    """What is hidden in the pictures of one request."""

    what: Redaction
    settings: RedactionSettings

    @property
    def hides(self) -> bool:
        """Whether anything is hidden at all."""
        return self.what is not Redaction.NONE

    def reachable(self, source: CameraSource, appearance: Appearance) -> Iterator[Appearance]:
        """As much of an appearance as can be shown, in order: where something is to be hidden, what lies about the looks of the
        detector, which end with the job's time window and leave out what a fast search did not look at closely."""
        if not self.hides:
            yield appearance
            return
        around = source.around(appearance.span)
        looked = source.everybody(around.padded(_UNSEEN_NS, _UNSEEN_NS))[1].looked_ns
        times = np.array([time.ns for time in source.frame_times(around)], np.int64)
        for first, last in _searched(times, looked):
            whole = Interval(Instant(first), source.frame_span(Instant(last)).end)
            span = source.clock.interval_to_utc(whole).intersection(appearance.span)
            tracks = tuple(track for track in appearance.tracks if source.track(track).box_count(whole))
            if span is not None and tracks:
                yield Appearance(appearance.camera, span, tracks)

    def hiding(self, source: CameraSource, span: Interval, subject: Iterable[TrackId]) -> Hiding | None:
        """What hides everybody but the subject in a camera's frames of a span of UTC; None where nothing is to be hidden.

        Raise FailedPrecondition where somebody whom the detector saw would be left clear, or where it did not look.
        """
        if not self.hides:
            return None
        numbers = {track.number for track in subject if track.camera == source.name}
        shown = source.clock.interval_to_camera(span)
        tracks, people = source.everybody(shown.padded(self.settings.reach_ns, self.settings.reach_ns))
        crowd = Crowd(tracks, people, self.settings, self.what)
        check_covered(source.name, crowd, shown, numbers)
        return Hiding(source.name, crowd, frozenset(numbers), _COARSE[self.what])


@dataclass(frozen=True, slots=True, eq=False)
class Hiding:
    """Hides everybody but one camera's `subject`, which are numbers of tracks."""

    camera: str
    crowd: Crowd
    subject: frozenset[int]
    coarse: int

    def hide(self, picture: Planes | Image, time: Instant, frame: Size, part: Box | None = None) -> None:
        """Change a picture of a frame of a camera's time, or of `part` of it; both are in pixels of the upright frame, as large as
        `frame`. Raise FailedPrecondition where nobody looked who was there."""
        if not self.crowd.looked_near(time, _UNSEEN_NS):
            raise FailedPrecondition(
                f"camera {self.camera} was not searched for people about {time} (its own clock), so nobody can be hidden there; "
                "track the whole footage, at one frame a second at least, and render again"
            )
        part = part or Box(0, 0, frame.width, frame.height)
        size = size_of(picture)
        factors = np.array([size.width / part.width, size.height / part.height] * 2)
        corner = np.array([part.left, part.top] * 2)
        hidden, clear = (
            (boxes - corner) * factors
            for boxes in (self.crowd.hidden_at(time, self.subject), self.crowd.clear_at(time, self.subject))
        )
        pixelate(picture, hidden, clear, self.coarse)


def pixelate(picture: Planes | Image, hidden: Boxes, clear: Boxes, coarse: int) -> None:
    """Turn (n, 4) boxes of a picture into `coarse` rows of squares, in place; what lies in (m, 4) `clear` ones stays as it is."""
    layers = ((picture, 1),) if not isinstance(picture, Planes) else ((picture.y, 1), (picture.u, 2), (picture.v, 2))
    for layer, step in layers:
        height, width = layer.shape[:2]
        kept = [(rows, columns, layer[rows, columns].copy()) for rows, columns in _inward(clear, step, height, width)]
        for box, (rows, columns) in _outward(hidden, step, height, width):
            region = layer[rows, columns]
            high, wide = region.shape[:2]
            square = max(3 / step, float(box[3] - box[1]) / coarse)  # whatever of them is in the picture
            few = (max(1, round(wide / square)), max(1, round(high / square)))
            means = cv2.resize(region, few, interpolation=cv2.INTER_AREA)
            layer[rows, columns] = cv2.resize(means, (wide, high), interpolation=cv2.INTER_NEAREST)
        for rows, columns, pixels in kept:
            layer[rows, columns] = pixels


def _searched(times_ns: NDArray[np.int64], looked_ns: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First and last of each run of frames near to looks of the detector, by their times, which are in order. It ends half as far
    from its outermost looks as the frames in between may lie from one."""
    before = np.searchsorted(looked_ns, times_ns + _UNSEEN_NS, side="right")
    near = before > np.searchsorted(looked_ns, times_ns - _UNSEEN_NS)
    edges = np.flatnonzero(np.diff(near, prepend=False, append=False)).reshape(-1, 2)
    for row, until in edges.tolist():
        first_look = looked_ns[np.searchsorted(looked_ns, times_ns[row] - _UNSEEN_NS)]
        last_look = looked_ns[before[until - 1] - 1]
        shown = np.searchsorted(times_ns, [first_look - _UNSEEN_NS // 2, last_look + _UNSEEN_NS // 2], side="right") - 1
        start, end = max(row, int(shown[0])), min(until - 1, int(shown[1]))
        if start <= end:
            yield int(times_ns[start]), int(times_ns[end])


def check_covered(camera: str, crowd: Crowd, span: Interval, subject: Collection[int]) -> None:
    """Raise FailedPrecondition where a detection of a span of camera time would be left clear beyond the subject's own box.

    It knows nothing of how boxes come about: it looks at points of every detected box, and asks whether each lies in what is
    hidden or in the subject's own box.
    """
    people = crowd.people
    rows = np.flatnonzero((people.times_ns >= span.start.ns) & (people.times_ns < span.end.ns))
    times, firsts = np.unique(people.times_ns[rows], return_index=True)
    for time_ns, (first, until) in zip(times.tolist(), pairwise([*firsts.tolist(), len(rows)]), strict=True):
        hidden, clear = crowd.hidden_at(Instant(time_ns), subject), crowd.clear_at(Instant(time_ns), subject)
        covering = np.concatenate([hidden, clear])
        boxes = crowd.sensitive(people.boxes[rows[first:until]])
        open_ones = [box for box in boxes if not _inside(_points(box), covering).all()]
        if open_ones:
            raise FailedPrecondition(
                f"camera {camera}: {len(open_ones)} of the people detected at {Instant(time_ns)} (its own clock) would be left clear, "
                f"the first at {[round(float(edge)) for edge in open_ones[0]]}; nothing was rendered; report this"
            )


def _points(box: Boxes) -> NDArray[np.float64]:
    """(k, 2) points spread over a box."""
    shares = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    x, y = np.meshgrid(box[0] + (box[2] - box[0]) * shares, box[1] + (box[3] - box[1]) * shares)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _inside(points: NDArray[np.float64], boxes: Boxes) -> NDArray[np.bool_]:
    """(k,) whether each point lies in any of the boxes."""
    x, y = points[:, :1], points[:, 1:]
    within = (x >= boxes[:, 0]) & (x <= boxes[:, 2]) & (y >= boxes[:, 1]) & (y <= boxes[:, 3])
    return np.asarray(within.any(axis=1), np.bool_)


def _outward(boxes: Boxes, step: int, height: int, width: int) -> Iterable[tuple[Boxes, tuple[slice, slice]]]:
    """Boxes in pixels of a layer, with the rows and columns that hold them; `step`: pixels of the picture for one of the layer."""
    for box in boxes / step:
        (left, top), (right, bottom) = np.floor(box[:2]), np.ceil(box[2:])
        yield from ((box, part) for part in _slices(left, top, right, bottom, height, width))


def _inward(boxes: Boxes, step: int, height: int, width: int) -> Iterable[tuple[slice, slice]]:
    """Rows and columns of a layer that lie within boxes."""
    for box in boxes / step:
        (left, top), (right, bottom) = np.ceil(box[:2]), np.floor(box[2:])
        yield from _slices(left, top, right, bottom, height, width)


def _slices(
    left: float, top: float, right: float, bottom: float, height: int, width: int
) -> Iterable[tuple[slice, slice]]:
    rows, columns = slice(max(0, int(top)), min(height, int(bottom))), slice(max(0, int(left)), min(width, int(right)))
    if rows.start < rows.stop and columns.start < columns.stop:
        yield rows, columns
