"""Copies clips, packet by packet and without decoding, into the parts of a reel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.packet import Packet
from av.video.stream import VideoStream

from throughline.domain.time import MEDIA_RATE, NS_PER_SECOND, Instant, Interval, ns_to_ticks, ticks_to_ns
from throughline.media.gops import GopLog, GopTicks
from throughline.media.probe import PAUSE_NS, ClipInfo, ClipScan

TICK = Fraction(1, MEDIA_RATE)
_NEAR, _FAR = MEDIA_RATE // 10, 60 * MEDIA_RATE
"""Where a missing DTS is put before its clip, and how far a DTS can lie before its PTS; broken recorders write any number."""
_LEAST_DURATION = MEDIA_RATE // 1000
"""Where a container states none: the part ends with its last packet, by whole milliseconds, and must not end before it."""
_CHECK_EVERY = 500
"""Packets between two looks at whether to stop."""
_MOST_HELD_BYTES = 16 * 2**20
"""Of packets held back; a clip that has more is read a second time."""
PARTS_IN_A_WHOLE = NS_PER_SECOND
"""Unit of a clip's stretch."""


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
        # Without the flag, FFmpeg writes every packet by a call of its own.
        options = {"video_track_timescale": str(MEDIA_RATE), "flush_packets": "0"}
        self._container = av.open(str(path), "w", format="mp4", options=options)
        self._stream: VideoStream | None = None
        self._last_dts: int | None = None

    def at(self, tick: int) -> Instant:
        """The moment at which a PTS of the part lies."""
        return self.epoch + ticks_to_ns(tick, TICK)

    def tick(self, moment: Instant) -> int:
        """The PTS nearest to a moment."""
        return ns_to_ticks(moment - self.epoch, TICK)

    def take_format(self, scan: ClipScan) -> None:
        """Give the file the format of its first clip."""
        if self._stream is None:
            self._stream = self._container.add_stream_from_template(scan.stream, opaque=True)
            self._stream.time_base = TICK
            self._stream.set_display_rotation(-scan.format.rotation_degrees)

    def mux(self, packet: Packet[VideoStream], pts: int, dts: int) -> None:
        """Write a packet, whose duration is in ticks already. Raises av.FFmpegError where MP4 can't hold it."""
        if self._stream is None:
            raise ValueError("a part has no format before its first clip")
        dts = min(pts, max(dts, pts - _FAR))
        if self._last_dts is not None:
            dts = max(dts, self._last_dts + 1)
        self._last_dts = dts
        packet.duration = max(packet.duration or 0, _LEAST_DURATION)
        packet.dts, packet.pts, packet.time_base, packet.stream = dts, max(pts, dts), TICK, self._stream
        self._container.mux(packet)
        self.frame_count += 1

    def close(self) -> None:
        """Finish the file; one without a frame is removed."""
        try:
            self._container.close()
        except av.FFmpegError:
            if self.frame_count:
                raise
        if not self.frame_count:
            self._path.unlink(missing_ok=True)


class ClipCopy:
    """A clip on its way into a part: `run` reads it to its end, `finish` says where it ends in the part.

    What is shown from some moment on is held back in between, since it may come to be cut off.
    """

    def __init__(
        self,
        writer: PartWriter,
        scan: ClipScan,
        start: Instant,
        stretch_ppb: int = 0,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """The first frame lies at `start`, to the nearest tick; others at their distance from it, longer by `stretch_ppb`
        billionths. `check` is called now and then; what it raises ends the work.
        """
        self._writer = writer
        self._scan = scan
        self._first = writer.tick(start)
        self._stretch_ppb = stretch_ppb
        self._check = check
        self._gops = GopLog(scan.container.format.name, scan.container.size)
        ratio = scan.time_base / TICK
        self._whole = 0 if stretch_ppb or ratio.denominator != 1 else ratio.numerator
        """Ticks of the part in a tick of the clip, where they are a whole number of them."""
        self._held: list[tuple[Packet[VideoStream], int]] = []
        self._held_bytes = 0
        self._copied = 0
        self._reach = self._first
        self._flaw = ""
        self.info: ClipInfo | None = None
        """What the clip held; None before `run`."""
        writer.take_format(scan)

    @property
    def is_whole(self) -> bool:
        """Whether nothing more has to be read."""
        return self._held_bytes <= _MOST_HELD_BYTES

    def run(self, hold_from: Instant | None = None) -> ClipInfo:
        """Copy what is shown before `hold_from`, up to the first packet in the order of decoding that is not."""
        limit = None if hold_from is None else self._writer.tick(hold_from)
        for index, (packet, source_pts) in enumerate(self._scan):
            if index % _CHECK_EVERY == 0:
                self._check()
            pts = self._pts(source_pts)
            if self._held_bytes or (limit is not None and pts >= limit):
                self._hold(packet, source_pts)
            elif not self._flaw:
                self._mux(packet, pts)
        self.info = self._scan.info()
        return self.info

    @property
    def span(self) -> Interval:
        """Where the clip lies in the part if nothing cuts it off. Only after `run`."""
        end = self._first + self._nearest(self._known().duration_ns)
        if self._flaw:
            end = min(end, self._reach + self._nearest(PAUSE_NS))
        return Interval(self._writer.at(self._first), self._writer.at(end))

    @property
    def pauses(self) -> list[Interval]:
        """Where nothing was recorded within the clip. Only after `run`."""
        return [Interval(self._writer.at(start), self._writer.at(end)) for start, end in self._pauses()]

    def finish(self, until: Instant | None = None) -> Copied:
        """Copy what was held back and is shown before `until`, which is not before what was copied already.

        Where that cuts it, B-frames that need a frame beyond the cut go too. A clip that MP4 can't hold beyond some packet is
        copied up to there.
        """
        limit = None if until is None else self._writer.tick(until)
        if self.is_whole:
            self._copy_rest(self._held, limit)
        else:
            with ClipScan(self._scan.source) as again:
                self._copy_rest(islice(again, self._copied, None), limit)
        self._held = []
        end = self._end(limit)
        pauses = [pause for pause in self._pauses() if pause[1] < end]
        return Copied(
            span=Interval(self._writer.at(self._first), self._writer.at(end)),
            frame_count=self._copied,
            cut_frames=0 if self._flaw else self._known().frame_count - self._copied,
            flaw=self._flaw,
            pauses=tuple(Interval(self._writer.at(start), self._writer.at(end)) for start, end in pauses),
            gops=tuple(self._gops.finish(end, pauses)),
        )

    def _copy_rest(self, packets: Iterable[tuple[Packet[VideoStream], int]], limit: int | None) -> None:
        for index, (packet, source_pts) in enumerate(packets):
            if index % _CHECK_EVERY == 0:
                self._check()
            pts = self._pts(source_pts)
            if self._flaw or (limit is not None and pts >= limit):
                return
            self._mux(packet, pts)

    def _hold(self, packet: Packet[VideoStream], source_pts: int) -> None:
        self._held_bytes += packet.size
        if self.is_whole:
            self._held.append((packet, source_pts))
        else:
            self._held = []

    def _mux(self, packet: Packet[VideoStream], pts: int) -> None:
        dts = self._first - _NEAR if packet.dts is None else self._pts(packet.dts)  # Matroska leaves out the first few
        duration = packet.duration = self._ticks(packet.duration or 0)
        self._gops.add(packet, pts)
        self._reach = max(self._reach, pts + duration)
        try:
            self._writer.mux(packet, pts, dts)
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise  # the disk, not the clip
            self._flaw = f"it breaks off ({error.strerror})"
        else:
            self._copied += 1

    def _end(self, limit: int | None) -> int:
        """The tick at which the last frame ends, which is before a pause. Where the copy broke off it is not the clip's last."""
        end = min(self._first + self._nearest(self._known().duration_ns), self._reach + self._nearest(PAUSE_NS))
        end = end if limit is None else min(end, limit)
        return next((begin for begin, after in self._pauses() if begin < end <= after), end)

    def _pauses(self) -> list[tuple[int, int]]:
        pauses = self._known().pauses
        return [(self._first + self._nearest(start), self._first + self._nearest(end)) for start, end in pauses]

    def _known(self) -> ClipInfo:
        if self.info is None:
            raise ValueError("a clip is known only once it was read to its end")
        return self.info

    def _pts(self, source_pts: int) -> int:
        return self._first + self._ticks(source_pts - self._scan.first_pts)

    def _ticks(self, source_ticks: int) -> int:
        if self._whole:
            return source_ticks * self._whole
        return self._nearest(ticks_to_ns(source_ticks, self._scan.time_base))

    def _nearest(self, ns: int) -> int:
        """The ticks of the part that `ns` of the clip take."""
        return ns_to_ticks(ns + ns * self._stretch_ppb // PARTS_IN_A_WHOLE, TICK)
