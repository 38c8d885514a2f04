"""Which packets need not be decoded, because no other frame is decoded from theirs and nobody wants it. Nothing is decoded here."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator

from av.packet import Packet
from av.video.stream import VideoStream

_PROGRESSIVE = 1
_H264_SLICE = 1
_H264_PASSING = frozenset({6, 9, 12})
"""Units that concern their own packet alone: remarks, delimiters, filler. Parameter sets are not among them."""
_HEVC_PASSING = frozenset({35, 38, 39, 40})
_HEVC_SUB_LAYER_NON_REFERENCE = frozenset({0, 2, 4, 6, 8, 10, 12, 14})
_AVCC_LENGTH, _HVCC_LENGTH = 4, 21
"""Where in the extradata the size of the units' lengths stands; in HVCC, the number of layers as well."""

IsDisposable = Callable[["Packet[VideoStream]"], bool]
IsWanted = Callable[[int | None, int], bool]
"""Of a frame's PTS, after the PTS of the frame that is shown before it."""


def disposable_in(stream: VideoStream) -> IsDisposable:
    """Tells of the packets of a stream in MP4 whether other frames are decoded without them. In doubt they are not.

    H.264, if it is progressive, since a frame's second field may come in a packet of its own, and HEVC, where only pictures of the
    highest layer are needed by no other.
    """
    context = stream.codec_context
    extradata = context.extradata or b""
    if context.name == "h264" and context.field_order == _PROGRESSIVE and len(extradata) > _AVCC_LENGTH:
        return _units_of(extradata[_AVCC_LENGTH], _is_h264_disposable)
    if context.name == "hevc" and len(extradata) > _HVCC_LENGTH:
        layers = extradata[_HVCC_LENGTH] >> 3 & 7  # 0 where the writer didn't know
        return _units_of(
            extradata[_HVCC_LENGTH], lambda first, second: 0 < layers <= second & 7 and _is_hevc_disposable(first)
        )
    return lambda _: False


def sorted_out(
    packets: Iterator[Packet[VideoStream]], is_disposable: IsDisposable, is_wanted: IsWanted, before: int | None
) -> Iterator[tuple[Packet[VideoStream], bool]]:
    """Packets as they come, each with whether it must be decoded: for itself, or because others may need it.

    `before` is the PTS of the frame shown before these, if there is one. A packet is held only until those are known that are shown
    before it.
    """
    times = [] if before is None else [before]
    held: deque[tuple[Packet[VideoStream], int | None]] = deque()
    for packet in packets:
        if packet.pts is not None:
            insort(times, packet.pts)
        held.append((packet, packet.pts if packet.dts is not None and is_disposable(packet) else None))
        while held and (held[0][1] is None or packet.dts is None or packet.dts >= held[0][1]):
            ready, pts = held.popleft()
            at = 0 if pts is None else bisect_left(times, pts)
            yield ready, pts is None or is_wanted(times[at - 1] if at else None, pts)
        if packet.dts is not None and not held:
            del times[: max(0, bisect_right(times, packet.dts) - 1)]


def _units_of(lengths: int, is_passing: Callable[[int, int], bool]) -> IsDisposable:
    """A packet is disposable if all of its units are, by their first two bytes."""
    length_bytes = (lengths & 3) + 1

    def is_disposable(packet: Packet[VideoStream]) -> bool:
        content = memoryview(packet)
        at = 0
        while at + length_bytes + 1 < len(content):
            begin = at + length_bytes
            if not is_passing(content[begin], content[begin + 1]):
                return False
            at = begin + int.from_bytes(content[at:begin])
        return at == len(content) > 0

    return is_disposable


def _is_h264_disposable(first: int, _: int) -> bool:
    kind, importance = first & 31, first >> 5 & 3
    return kind in _H264_PASSING or (kind == _H264_SLICE and importance == 0)


def _is_hevc_disposable(first: int) -> bool:
    kind = first >> 1 & 63
    return kind in _HEVC_SUB_LAYER_NON_REFERENCE or kind in _HEVC_PASSING
