"""Chosen frames of a stretch of video, decoded with as little on the way as keyframes allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from throughline.domain.time import Instant, Interval
from throughline.media.frame import Frame
from throughline.media.packets import CodedFrames
from throughline.media.reader import ReelReader

_FEW_FRAMES = 5
"""As many frames as starting anew at a keyframe costs."""


class ChosenFrames:
    """Frames by their rows in `coded`, which are wanted at `rate`. Whoever asks in order, however often, decodes nothing twice."""

    def __init__(self, reader: ReelReader, coded: CodedFrames, rate: float | None = None) -> None:
        self._reader = reader
        self._coded = coded
        self._rate = rate
        self._keyframes = np.flatnonzero(coded.keyframes)
        self._wanted = np.flatnonzero(coded.wanted)
        self._wanted_ns = coded.times_ns[self._wanted]
        self._position = len(coded)
        self._last: Frame | None = None
        self._missing = range(0)
        self._cursor: Iterator[Frame] = iter(())

    def read(self, rows: Iterable[int]) -> Iterator[Frame]:
        """The frames of wanted rows in order. In the place of one that does not decode comes the next that does, if it lies before
        the next wanted one, else none."""
        for row in rows:
            if row in self._missing:
                continue
            if self._last is None or self._position != row:
                self._go_to(row)
            if self._last is not None and self._position == row:
                yield self._last

    def _go_to(self, row: int) -> None:
        """Decode to the first frame at or after a row's."""
        if not self._lies_ahead(row):
            self._start_at(row)
        time_ns = int(self._coded.times_ns[row])
        self._last = next((frame for frame in self._cursor if frame.time.ns >= time_ns), None)
        self._position = len(self._coded) if self._last is None else self._row_of(self._last)
        self._missing = range(row, self._position)

    def _row_of(self, frame: Frame) -> int:
        """The wanted row in whose place a frame came."""
        return int(self._wanted[np.searchsorted(self._wanted_ns, frame.time.ns, side="right") - 1])

    def _lies_ahead(self, row: int) -> bool:
        """Whether decoding on leads there as fast as starting anew."""
        before = int(np.searchsorted(self._keyframes, row, side="right")) - 1
        nearest = int(self._keyframes[before]) if before >= 0 else 0
        return self._position < row and nearest - self._position <= _FEW_FRAMES

    def _start_at(self, row: int) -> None:
        close = getattr(self._cursor, "close", None)
        if close is not None:
            close()
        start, end = (Instant(int(self._coded.times_ns[at])) for at in (row, -1))
        self._cursor = self._reader.frames(Interval(start, end + 1), self._rate)
