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
    left_out: list[int] = []
    sent: deque[int] = deque()
    for packet, needed in packets:
        if not needed and packet.pts is not None:
            heapq.heappush(left_out, packet.pts)
            continue
        if packet.pts is not None:
            sent.append(packet.pts)
        try:
            pictures = packet.decode()
        except av.InvalidDataError:
            if sent:
                damaged(sent[0])
            continue
        finally:
            while len(sent) >= max(1, stream.codec_context.thread_count):
                sent.popleft()  # each thread works at a frame of its own, so that it fails when as many others were sent
        _FRAMES.inc(len(pictures))
        for picture in pictures:
            if picture.pts is not None:
                while left_out and left_out[0] < picture.pts:
                    yield heapq.heappop(left_out), None
                yield picture.pts, picture
    while left_out:
        yield heapq.heappop(left_out), None
