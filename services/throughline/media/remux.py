"""Copies clips, packet by packet and without decoding, into the parts of a reel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.video.stream import VideoStream

from throughline.domain.time import MEDIA_RATE, Instant, Interval, ns_to_ticks, ticks_to_ns
from throughline.media.clip import ClipPackets, open_clip
from throughline.media.gops import GopLog, GopTicks
from throughline.media.probe import PAUSE_NS, ClipInfo

TICK = Fraction(1, MEDIA_RATE)
_NEAR, _FAR = MEDIA_RATE // 10, 60 * MEDIA_RATE
"""Where a missing DTS is put before its clip, and how far a DTS can lie before its PTS; broken recorders write any number."""
_CHECK_EVERY = 500
"""Packets between two looks at whether to stop."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of a clip in a part."""

    span: Interval
    """First frame to the end of the last."""
    frame_count: int
    """May be 0 where `flaw` is set."""
    cut_frames: int
    """Frames at its end that were left out because `until` came first."""
    flaw: str = ""
    """Why the copy ended early; empty if it did not."""
    pauses: tuple[Interval, ...] = ()
    """Where nothing was recorded within `span`."""
    gops: tuple[GopTicks, ...] = ()


class PartWriter:
    """One part being written: MP4 with time base 1/90000, PTS = time - epoch. Audio and data are left behind.

    Clips must have the format of the first and come in order of time. DTS are kept at their distance from PTS. Where they
    would not increase, at the seam of two clips or because a recorder gave two frames one time, they are moved on by ticks.
    """

    def __init__(self, path: Path, epoch: Instant) -> None:
        self.epoch = epoch
        self.frame_count = 0
        self._path = path
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
        """Copy a clip so that its first frame lies at `start`, and end before `until`, both to the nearest tick.

        Where that cuts it, B-frames that need a frame beyond the cut go too. `check` is called now and then; what it
        raises ends the work. A clip that MP4 can't hold beyond some packet is copied up to there.
        """
        first_tick = _nearest(start - self.epoch)
        limit = None if until is None else _nearest(until - self.epoch)
        copied, reach, flaw = 0, first_tick, ""
        with open_clip(clip) as (container, source):
            target = self._target(source, info)
            gops = GopLog(container.format.name, container.size)
            for packet, source_pts in ClipPackets(container, source):
                pts = first_tick + _ticks(source_pts - info.first_pts, info)
                if limit is not None and pts >= limit:
                    break
                self._set_times(packet, pts, first_tick, info)
                packet.stream = target
                gops.add(packet, packet.pts or 0)
                reach = max(reach, pts + (packet.duration or 0))
                try:
                    self._container.mux(packet)
                except av.FFmpegError as error:
                    if isinstance(error, OSError):
                        raise  # the disk, not the clip
                    flaw = f"it breaks off ({error.strerror})"
                    break
                copied += 1
                if copied % _CHECK_EVERY == 0:
                    check()
        self.frame_count += copied
        ends = (_nearest(start + info.duration_ns - self.epoch), reach + _nearest(PAUSE_NS), limit)
        end_tick = min(tick for tick in ends if tick is not None)
        pauses = [(first_tick + _nearest(start), first_tick + _nearest(end)) for start, end in info.pauses]
        pauses = [pause for pause in pauses if pause[1] < end_tick]
        return Copied(
            span=Interval(self.at(first_tick), self.at(end_tick)),
            frame_count=copied,
            cut_frames=0 if flaw else info.frame_count - copied,
            flaw=flaw,
            pauses=tuple(Interval(self.at(start), self.at(end)) for start, end in pauses),
            gops=tuple(gops.finish(end_tick, pauses)),
        )

    def at(self, tick: int) -> Instant:
        """The moment at which a PTS of the part lies."""
        return self.epoch + ticks_to_ns(tick, TICK)

    def close(self) -> None:
        """Finish the file; one without a frame is removed."""
        try:
            self._container.close()
        except av.FFmpegError:
            if self.frame_count:
                raise
        if not self.frame_count:
            self._path.unlink(missing_ok=True)

    def _target(self, source: VideoStream, info: ClipInfo) -> VideoStream:
        if self._stream is None:
            self._stream = self._container.add_stream_from_template(source, opaque=True)
            self._stream.time_base = TICK
            self._stream.set_display_rotation(-info.format.rotation_degrees)
        return self._stream

    def _set_times(self, packet: Packet[VideoStream], pts: int, first_tick: int, info: ClipInfo) -> None:
        earliest = first_tick - _NEAR  # for Matroska, which leaves out the first few
        dts = earliest if packet.dts is None else first_tick + _ticks(packet.dts - info.first_pts, info)
        dts = min(pts, max(dts, pts - _FAR))
        if self._last_dts is not None:
            dts = max(dts, self._last_dts + 1)
        self._last_dts = dts
        packet.duration = _ticks(packet.duration or 0, info)
        packet.dts, packet.pts, packet.time_base = dts, max(pts, dts), TICK


def _ticks(source_ticks: int, info: ClipInfo) -> int:
    return _nearest(ticks_to_ns(source_ticks, info.time_base))


def _nearest(ns: int) -> int:
    return ns_to_ticks(ns, TICK)
