"""How far the analysis of a reel is, in frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from throughline.domain.footage import Reel
from throughline.domain.time import Interval
from throughline.domain.work import Work


class Spanned(Protocol):
    """Whatever lies in the reel."""

    @property
    def span(self) -> Interval: ...


class FrameProgress:
    """Counts frames against an estimate that becomes exact piece by piece."""

    def __init__(self, work: Work, reel: Reel, pieces: Sequence[Spanned], rate: float) -> None:
        self._work = work
        self._left = {piece.span: _expected(reel, piece.span, rate) for piece in pieces}
        self._finished = 0
        self._running = 0

    def add_frame(self) -> None:
        """One more frame of the running piece was analysed. Raises Cancelled where a stop was asked for."""
        self._running += 1
        self._report()

    def wait(self) -> None:
        """The running piece is no further. Raises Cancelled where a stop was asked for."""
        self._report()

    def finish_piece(self, piece: Spanned, frames: int) -> None:
        """The piece is done and had this many frames."""
        self._left.pop(piece.span)
        self._finished += frames
        self._running = 0
        self._report()

    def _report(self) -> None:
        done = self._finished + self._running
        self._work.report(done, max(done, self._finished + sum(self._left.values())), "frames")


def _expected(reel: Reel, span: Interval, rate: float) -> int:
    """Frames at `rate`, or all where the footage has fewer."""
    own = min(
        (part.frame_count / part.span.duration_seconds for part in reel.parts if part.span.overlaps(span)), default=rate
    )
    return round(span.duration_seconds * min(rate, own))
