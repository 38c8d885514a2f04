"""When the frames of an AVI are shown: the format has no times but those of decoding, so frames are decoded to find their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain

import av
from av.codec import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

_LOOK_AHEAD = 17
"""More frames than H.264 shows out of order."""


def needs_order(container_format: str, stream: VideoStream) -> bool:
    """Whether the packets of a stream have no PTS that can be relied on."""
    context = stream.codec_context
    return container_format == "avi" and context.codec.canonical_name in ("h264", "hevc") and context.has_b_frames


def in_order(packets: Iterator[Packet[VideoStream]], stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The packets as they come, each with the PTS of its place among the frames shown, which is never before its DTS.

    The frame that is shown n-th gets the n-th DTS, and all the same delay. Packets without a frame lose both time stamps; up to
    `_LOOK_AHEAD` frames around one may stand a frame early. What `packets` raises comes after those that came before it.
    """
    order = _Order(stream)
    error: av.FFmpegError | None = None
    while error is None:
        try:
            packet = next(packets, None)
        except av.FFmpegError as raised:
            error = raised
            break
        if packet is None or not packet.size:
            break
        order.add(packet)
        yield from order.ready(_LOOK_AHEAD)
    order.finish()
    yield from order.ready(0)
    if error is not None:
        raise error


class _Order:
    """Packets that were decoded, until it is known when they are shown."""

    def __init__(self, stream: VideoStream) -> None:
        context = stream.codec_context
        decoder = CodecContext.create(context.name, "r")
        if not isinstance(decoder, VideoCodecContext):
            raise TypeError(f"{context.name} is no codec of pictures")
        self._decoder = decoder
        self._decoder.extradata = context.extradata
        self._decoder.thread_count = 1
        self._held: deque[Packet[VideoStream]] = deque()
        self._coming: set[int] = set()
        """DTS of those among them whose frames haven't come."""
        self._free: deque[int] = deque()
        """DTS at which nothing is shown yet, in order: as many as frames to come."""
        self._shown: dict[int, int] = {}
        """By DTS of a packet the DTS that stands where its frame is shown."""
        self._delay: int | None = None

    def add(self, packet: Packet[VideoStream]) -> None:
        if packet.dts is None:
            return
        packet.pts = packet.dts  # by which its frame is known
        self._held.append(packet)
        self._coming.add(packet.dts)
        self._free.append(packet.dts)
        self._decode(packet)

    def finish(self) -> None:
        """Nothing more comes."""
        self._decode(None)

    def ready(self, ahead: int) -> Iterator[Packet[VideoStream]]:
        """Packets of which all is known, when `ahead` later ones were decoded."""
        while len(self._held) > ahead:
            if self._delay is None:
                self._delay = max(chain((dts - shown for dts, shown in self._shown.items()), [0]))
            packet = self._held.popleft()
            shown = self._shown.pop(packet.dts or 0, None)
            if shown is not None:
                packet.pts = shown + self._delay
            else:
                self._coming.discard(packet.dts or 0)
                self._free.popleft()  # later frames have moved up to its place
                packet.pts = packet.dts = None
            yield packet

    def _decode(self, packet: Packet[VideoStream] | None) -> None:
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            return
        for frame in frames:
            if frame.pts in self._coming:
                self._coming.remove(frame.pts)
                self._shown[frame.pts] = self._free.popleft()
