"""Decodes packets of which some may be left out, and still tells when every frame is shown."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import av
from av.packet import Packet
from av.video.stream import VideoStream
from prometheus_client import Counter

_LONGEST_DELAY = 128
"""Frames between a packet and its picture at most: of threads, and of those that are shown in another order."""
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
    """Each thread works at a frame of its own, so that a packet fails when as many others as there are threads were sent. Where one
    fails that was sent among the last, FFmpeg gives nothing of what threads were still at work on.
    """

    def __init__(self, stream: VideoStream, damaged: Callable[[int], None]) -> None:
        self._context = stream.codec_context
        self._damaged = damaged
        self._sent: deque[int] = deque()
        self._given: deque[int] = deque(maxlen=_LONGEST_DELAY)

    def decode(self, packet: Packet[VideoStream]) -> list[tuple[int, av.VideoFrame]]:
        if packet.pts is not None:
            self._sent.append(packet.pts)
        try:
            pictures = packet.decode()
        except av.InvalidDataError:
            if packet.size and self._sent:
                self._damaged(self._sent[0])
            pictures = []
        given = [(picture.pts, picture) for picture in pictures if picture.pts is not None]
        self._given.extend(pts for pts, _ in given)
        if not packet.size:  # the end, at which the decoder gives what it still holds
            for pts in set(self._sent).difference(self._given):
                self._damaged(pts)
        while len(self._sent) >= max(1, self._context.thread_count):
            self._sent.popleft()
        _FRAMES.inc(len(pictures))
        return given
