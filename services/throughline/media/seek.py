"""Finds the packets from which a moment of a part can be decoded, without decoding any."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from throughline.domain.time import MEDIA_RATE


def packets_around(
    container: InputContainer, stream: VideoStream, start_ticks: int
) -> tuple[Iterator[Packet[VideoStream]], int | None]:
    """Packets from the last keyframe at or before `start_ticks` on, and the PTS of the frame before `start_ticks`.

    Demuxes from a keyframe strictly before `start_ticks`, so that the preceding frame is known even where the window
    starts on a keyframe; packets of earlier groups of pictures are passed over. The PTS is None at the part's start.
    The iterator ends with the empty packet that flushes the decoder.
    """
    packets = _demux_from_before(container, stream, start_ticks)
    kept: list[Packet[VideoStream]] = []
    before: int | None = None
    for packet in packets:
        if packet.is_keyframe and packet.pts is not None and packet.pts <= start_ticks:
            kept.clear()
        kept.append(packet)
        if packet.pts is None or (packet.dts is not None and packet.dts > start_ticks):
            break  # whatever follows is shown later than `start_ticks`
        if packet.pts < start_ticks and (before is None or packet.pts > before):
            before = packet.pts
    return chain(kept, packets), before


def _demux_from_before(
    container: InputContainer, stream: VideoStream, start_ticks: int
) -> Iterator[Packet[VideoStream]]:
    """Packets from a keyframe whose PTS is below `start_ticks`, or from the start of the file.

    Containers index by DTS, which B-frames set apart from PTS; so the first packet is looked at, and the seek is
    repeated from further back where it lies too late.
    """
    margin = MEDIA_RATE
    while True:
        target = max(0, start_ticks - margin)
        container.seek(target, stream=stream)
        packets = container.demux(stream)
        first = next(packets)
        if target == 0 or (first.pts is not None and first.pts < start_ticks):
            return chain([first], packets)
        margin *= 4
