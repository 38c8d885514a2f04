"""Decodes packets of which some may be left out, and still tells when every frame is shown."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import av
from av.packet import Packet
from av.video.stream import VideoStream
from prometheus_client import Counter

_FRAMES = Counter("throughline_frames_decoded", "Frames decoded, those on the way to the first one wanted included")


def decoded(
    packets: Iterable[tuple[Packet[VideoStream], bool]], stream: VideoStream, damaged: Callable[[int], None]
) -> Iterator[tuple[int, av.VideoFrame | None]]:
    """PTS and picture of each frame, in order of display; None for those whose packets need not be decoded.

    `damaged` gets the PTS of each packet that does not decode; its frame is missing.
    """
    decoder = _Decoder(stream, damaged)
    left_out: list[int] = []
    for packet, needed in packets:
        if not needed and packet.pts is not None:
            heapq.heappush(left_out, packet.pts)
            continue
        for pts, picture in decoder.decode(packet):
            while left_out and left_out[0] < pts:
                yield heapq.heappop(left_out), None
            yield pts, picture
    while left_out:
        yield heapq.heappop(left_out), None


class _Decoder:
    """Each thread works at a frame of its own, so that a packet fails when as many others as there are threads were sent."""

    def __init__(self, stream: VideoStream, damaged: Callable[[int], None]) -> None:
        self._context = stream.codec_context
        self._damaged = damaged
        self._sent: deque[int] = deque()

    def decode(self, packet: Packet[VideoStream]) -> list[tuple[int, av.VideoFrame]]:
        if packet.pts is not None:
            self._sent.append(packet.pts)
        try:
            pictures = packet.decode()
        except av.InvalidDataError:
            if self._sent:
                self._damaged(self._sent[0])
            pictures = []
        while len(self._sent) >= max(1, self._context.thread_count):
            self._sent.popleft()
        _FRAMES.inc(len(pictures))
        return [(picture.pts, picture) for picture in pictures if picture.pts is not None]
