"""Plays one appearance: what its camera shows at each moment, every frame decoded once and none shown longer than it lasted."""

from __future__ import annotations

from collections.abc import Iterator

from throughline.domain.time import Instant, Interval
from throughline.domain.timeline import Appearance
from throughline.media.frame import Frame
from throughline.renderer.sources import CameraSource


class Playback:
    """Stands at one moment of UTC and moves only forward. Close it, or its decoder stays open."""

    def __init__(self, source: CameraSource, appearance: Appearance) -> None:
        self.source = source
        self.appearance = appearance
        self.frame: Frame | None = None
        """What is shown: None where the camera has no footage."""
        self._frames = source.frames(appearance.span)
        self._coming = next(self._frames, None)

    @property
    def next_change(self) -> Instant | None:
        """When something else will be shown: a frame, or nothing where footage is missing. None after the last change."""
        begins = self.source.clock.to_utc(self._coming.time) if self._coming else None
        if self.frame is None:
            return begins
        ends = self.source.clock.to_utc(self.frame.span.end)
        return ends if begins is None or ends < begins else begins

    def advance(self, utc: Instant) -> bool:
        """Go on to a moment; say whether another picture is shown now."""
        changed = False
        while (change := self.next_change) is not None and change <= utc:
            self._step(change)
            changed = True
        return changed

    def moments(self, span: Interval) -> Iterator[Instant]:
        """Go through a span, stopping at its start and at every change within; the frame of each moment is at hand then."""
        utc: Instant | None = span.start
        while utc is not None and utc < span.end:
            self.advance(utc)
            yield utc
            utc = self.next_change

    def close(self) -> None:
        """Let go of the decoder."""
        close = getattr(self._frames, "close", None)
        if close is not None:
            close()

    def _step(self, change: Instant) -> None:
        if self._coming is not None and self.source.clock.to_utc(self._coming.time) <= change:
            self.frame = self._coming
            self._coming = next(self._frames, None)
        else:
            self.frame = None
