"""Which bytes of a clip hold which moments of a reel, one group of pictures (GOP) after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from av.packet import Packet
from av.video.stream import VideoStream

UNKNOWN = -1
_CONTIGUOUS = "mov"
"""Formats with this in their names state where the bytes of a packet begin, and they lie together; in others headers lie before
and between them."""


@dataclass(slots=True)
class GopTicks:
    """A keyframe and the packets up to the next. `start` and `end` are ticks of a part, first frame to the end of the last."""

    start: int
    end: int
    frame_count: int
    source_start: int
    source_end: int
    """Bytes of the clip's file in which its packets lie, perhaps among others; both `UNKNOWN` where the format does not tell."""


class GopLog:
    """Takes packets as they are copied, in the order of decoding."""

    def __init__(self, format_name: str, size_bytes: int) -> None:
        self._is_contiguous = _CONTIGUOUS in format_name
        self._size_bytes = size_bytes
        self._gops: list[GopTicks] = []

    def add(self, packet: Packet[VideoStream], pts: int) -> None:
        """Note a packet that was copied to `pts`, in ticks of its part. Call it before the packet is muxed, which empties it."""
        start = UNKNOWN if packet.pos is None else packet.pos
        end = start + packet.size if start != UNKNOWN else UNKNOWN
        if packet.is_keyframe or not self._gops:
            self._gops.append(GopTicks(pts, pts, 1, start, end))
            return
        gop = self._gops[-1]
        gop.start = min(gop.start, pts)
        gop.frame_count += 1
        if UNKNOWN in (start, gop.source_start):
            gop.source_start = gop.source_end = UNKNOWN
        else:
            gop.source_start, gop.source_end = min(gop.source_start, start), max(gop.source_end, end)

    def finish(self, end: int, pauses: Iterable[tuple[int, int]]) -> list[GopTicks]:
        """All of them, the last one lasting up to `end`. They follow each other without a hole, but for `pauses` between them."""
        begin_of = {pause_end: pause_start for pause_start, pause_end in pauses}
        for gop, following in zip(self._gops, [*self._gops[1:], None], strict=True):
            until = end if following is None else following.start
            gop.end = begin_of.get(until, until)
            if not self._is_contiguous and gop.source_start != UNKNOWN:
                after = self._size_bytes if following is None else following.source_start
                gop.source_end = max(gop.source_end, after)
        return self._gops
