"""Copies clips, packet by packet and without decoding, into the parts of a reel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream

from throughline.domain.time import MEDIA_RATE, Instant, Interval, ns_to_ticks, ticks_to_ns
from throughline.media.clip import ClipPackets, open_clip
from throughline.media.probe import ClipInfo

TICK = Fraction(1, MEDIA_RATE)
_CHECK_EVERY = 500
"""Packets between two looks at whether to stop."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of a clip in a part."""

    span: Interval
    """First frame to the end of the last."""
    frame_count: int
    cut_frames: int
    """Frames at its end that were left out because `until` came first."""


class PartWriter:
    """One part being written: MP4 with time base 1/90000, PTS = time - epoch. Audio and data are left behind.

    Clips must have the format of the first and come in order of time. DTS are kept at their distance from PTS, and
    moved on by single ticks where two clips meet and they would not increase.
    """

    def __init__(self, path: Path, epoch: Instant) -> None:
        self.epoch = epoch
        self.frame_count = 0
        self._container = av.open(str(path), "w", format="mp4", options={"video_track_timescale": str(MEDIA_RATE)})
        self._stream: VideoStream | None = None
        self._last_dts: int | None = None

    def append(
        self,
        clip: Path,
        info: ClipInfo,
        start: Instant,
        until: Instant | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Copied:
        """Copy a clip so that its first frame lies at `start`, and end before `until`.

        Where that cuts it, B-frames that need a frame beyond the cut go too. `check` is called now and then; what it
        raises ends the work.
        """
        first_tick = ns_to_ticks(start - self.epoch, TICK)
        limit = None if until is None else ns_to_ticks(until - self.epoch, TICK)
        copied = 0
        with open_clip(clip) as (container, source):
            target = self._target(source, info)
            for packet, source_pts in ClipPackets(container, source):
                pts = first_tick + _ticks(source_pts - info.first_pts, info)
                if limit is not None and pts >= limit:
                    break
                dts = None if packet.dts is None else first_tick + _ticks(packet.dts - info.first_pts, info)
                packet.duration = _ticks(packet.duration or 0, info)
                packet.pts, packet.dts = pts, self._next_dts(dts, pts, first_tick)
                packet.time_base, packet.stream = TICK, target
                self._container.mux(packet)
                copied += 1
                if copied % _CHECK_EVERY == 0:
                    check()
        self.frame_count += copied
        begin = self.epoch + ticks_to_ns(first_tick, TICK)
        end = begin + info.duration_ns
        return Copied(Interval(begin, end if until is None else min(end, until)), copied, info.frame_count - copied)

    def close(self) -> None:
        self._container.close()

    def _target(self, source: VideoStream, info: ClipInfo) -> VideoStream:
        if self._stream is None:
            self._stream = self._container.add_stream_from_template(source, opaque=True)
            self._stream.time_base = TICK
            self._stream.set_display_rotation(-info.format.rotation_degrees)
        return self._stream

    def _next_dts(self, dts: int | None, pts: int, first_tick: int) -> int:
        """Matroska leaves out the first few DTS; they lie just before the clip."""
        wanted = first_tick - MEDIA_RATE // 10 if dts is None else min(dts, pts)
        if self._last_dts is not None:
            wanted = max(wanted, self._last_dts + 1)
        self._last_dts = wanted
        return wanted


def _ticks(source_ticks: int, info: ClipInfo) -> int:
    return ns_to_ticks(ticks_to_ns(source_ticks, info.time_base), TICK)
