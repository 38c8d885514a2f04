"""Finds what of a reel's part can be copied into a film bit for bit, and what has to be encoded anew. Nothing is decoded here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.stream import VideoStream

from throughline.domain.footage import ReelPart
from throughline.domain.geometry import Size
from throughline.domain.time import MEDIA_RATE
from throughline.media.seek import packets_around

PLAIN_FORMATS = frozenset({"yuv420p", "yuvj420p"})
"""4:2:0 with 8 bits, in limited and in full range: what every player shows."""
LEAST_TICKS = MEDIA_RATE // 1000
"""Frames that would be shown for less than this are left out."""
_AVCC, _LENGTH_AT = 1, 4
"""Of the extradata of H.264 in MP4: its first byte, and where it says how many bytes a length has."""
_SLICE, _IDR = 1, 5
_UNIT_TYPE = 31


@dataclass(frozen=True, slots=True)
class Cut:
    """[start, end) of a part in ticks. `packets`: how many are copied, from the keyframe at `start` on; 0 where it is encoded anew."""

    start: int
    end: int
    packets: int


@dataclass(frozen=True, slots=True)
class Coded:
    """A packet's place: its time of display in ticks, and whether everything from here on is decoded without what came before."""

    pts: int
    is_idr: bool


class SplicePart:
    """One part of a reel, opened to copy from it. Close it."""

    def __init__(self, path: Path, part: ReelPart) -> None:
        self._container = av.open(str(path))
        self._stream = self._container.streams.video[0]
        codec = self._stream.codec_context
        extradata = codec.extradata or b""
        self.size: Size | None = None
        """Size of a film that takes its packets as they are; None where no film does: another codec, turned, stretched or deep pictures."""
        self._length_bytes = 0
        coded = Size(codec.width, codec.height)
        if (
            part.codec == "h264"
            and codec.pix_fmt in PLAIN_FORMATS
            and part.rotation_degrees == 0
            and part.size == coded
            and extradata[:1] == bytes([_AVCC])
            and coded.width % 2 == coded.height % 2 == 0
        ):
            self.size = coded
            self._length_bytes = (extradata[_LENGTH_AT] & 3) + 1

    @property
    def delay_ticks(self) -> int:
        """How long before its display the first picture of a group is decoded."""
        packets, _ = packets_around(self._container, self._stream, 0)
        first = next(packets)
        return max(0, (first.pts or 0) - (first.dts or 0))

    def cuts(self, start: int, end: int) -> list[Cut]:
        """What is shown in [start, end), in ticks, in order; the first cut begins with the frame that is shown at `start`."""
        return cuts(self._coded(start, end), start, end)

    def packets(self, cut: Cut) -> Iterator[Packet[VideoStream]]:
        """The packets to copy, in Annex B, with the parameter sets before each IDR picture; PTS and DTS are the part's."""
        found, _ = packets_around(self._container, self._stream, cut.start)
        annex_b = BitStreamFilterContext("h264_mp4toannexb", self._stream)
        for _, packet in zip(range(cut.packets), found, strict=False):
            yield from annex_b.filter(packet)

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _coded(self, start: int, end: int) -> list[Coded]:
        """Everything in the order of decoding, from a keyframe at or before `start`."""
        found: list[Coded] = []
        packets, _ = packets_around(self._container, self._stream, start)
        for packet in packets:
            if packet.pts is None or (packet.dts is not None and packet.dts >= end):
                break
            found.append(Coded(packet.pts, packet.is_keyframe and begins_anew(memoryview(packet), self._length_bytes)))
        return found


def begins_anew(packet: memoryview, length_bytes: int) -> bool:
    """Whether the first picture in a packet of H.264 is an IDR picture, rather than one that later ones can refer across."""
    at = 0
    while at + length_bytes < len(packet):
        begin = at + length_bytes
        kind = packet[begin] & _UNIT_TYPE
        if _SLICE <= kind <= _IDR:
            return kind == _IDR
        at = begin + int.from_bytes(packet[at:begin])
    return False


def cuts(coded: Sequence[Coded], start: int, end: int) -> list[Cut]:
    """Divide [start, end) of a part. `coded`: packets in the order of decoding, from before `start` to beyond `end`.

    Copied is from an IDR picture on as far as no frame that is decoded later is shown earlier: whole groups of pictures, and of
    the last one as much as lies before `end`. What lies before the first IDR picture, or between the end of what can be copied
    and `end`, is encoded anew.
    """
    last = end - LEAST_TICKS
    shown = sorted(each.pts for each in coded if each.pts <= max(last, start))
    first = max((pts for pts in shown if pts < start + LEAST_TICKS), default=shown[0] if shown else start)
    found: list[Cut] = []
    at = first
    for group in _copies(coded, last):
        if group.start < at or group.packets == 0:
            continue
        if group.start > at:
            found.append(Cut(at, group.start, 0))
        at = min(group.end, end)
        if found and found[-1].packets:
            found[-1] = Cut(found[-1].start, at, found[-1].packets + group.packets)
        else:
            found.append(Cut(group.start, at, group.packets))
    if any(at <= pts for pts in shown) or not found:
        found.append(Cut(at, end, 0))
    else:
        found[-1] = Cut(found[-1].start, end, found[-1].packets)
    return found


def _copies(coded: Sequence[Coded], last: int) -> Iterator[Cut]:
    """What can be copied of each group from one IDR picture to the next, up to the frame that follows it."""
    begins = [index for index, each in enumerate(coded) if each.is_idr]
    for index, following in pairwise([*begins, len(coded)]):
        times = [each.pts for each in coded[index:following]]
        beyond = coded[following].pts if following < len(coded) else last + LEAST_TICKS
        later = list(accumulate(reversed([*times, beyond]), min))[-2::-1]
        latest = list(accumulate(times, max))
        count = next((n for n in range(len(times), 0, -1) if latest[n - 1] <= last and latest[n - 1] < later[n - 1]), 0)
        if times[0] == min(times):
            yield Cut(times[0], later[count - 1] if count else times[0], count)
