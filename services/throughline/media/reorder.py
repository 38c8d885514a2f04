"""When the H.264 frames of an AVI are shown: the format has no times but those of decoding, so frames are decoded to find their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import av
from av.codec import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

_LOOK_AHEAD = 34
"""A frame comes out of the decoder before so many later packets went in, or never: twice as many as H.264 shows out of order."""


def shown(
    packets: Iterator[Packet[VideoStream]], stream: VideoStream, container_format: str
) -> Iterator[Packet[VideoStream]]:
    """The packets as they come, with the PTS that FFmpeg can't know where H.264 lies in AVI.

    What `packets` raises comes after those that came before it.
    """
    context = stream.codec_context
    if container_format != "avi" or context.codec.canonical_name not in ("h264", "hevc"):
        return packets
    return _in_order(packets, stream) if context.has_b_frames else _at_once(packets)


def _at_once(packets: Iterator[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
    """Each frame is shown when it is decoded."""
    for packet in packets:
        packet.pts = packet.dts
        yield packet


def _in_order(packets: Iterator[Packet[VideoStream]], stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The n-th frame that is shown gets the DTS of the packet that comes as many after the n-th as the encoder held frames back."""
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
    """Packets that were decoded, until it is known when they are shown. Packets have numbers in the order in which they come."""

    def __init__(self, stream: VideoStream) -> None:
        context = stream.codec_context
        decoder = CodecContext.create(context.name, "r")
        if not isinstance(decoder, VideoCodecContext):
            raise TypeError(f"{context.name} is no codec of pictures")
        self._decoder = decoder
        self._decoder.extradata = context.extradata
        self._decoder.thread_count = 1
        self._dts: list[int] = []
        self._held: deque[Packet[VideoStream]] = deque()
        self._unplaced: deque[int] = deque()
        """Packets whose place among the frames shown is not known."""
        self._came: deque[int] = deque()
        """Those of them whose frames came, in the order in which they are shown."""
        self._places: dict[int, int] = {}
        """Of packets that are held, from 0."""
        self._next_place = 0
        self._begun = False
        self._first: tuple[int, int] | None = None
        """The packet whose frame came first, and the one after which it came."""
        self._delay: int | None = None

    def add(self, packet: Packet[VideoStream]) -> None:
        if packet.dts is None:
            return
        number = len(self._dts)
        self._dts.append(packet.dts)
        self._held.append(packet)
        self._unplaced.append(number)
        packet.pts = number  # by which its frame is known
        self._decode(packet)

    def finish(self) -> None:
        """Nothing more comes."""
        self._decode(None)

    def ready(self, ahead: int) -> Iterator[Packet[VideoStream]]:
        """Packets whose time is known, once `ahead` later ones were decoded and placed as well."""
        sure = len(self._dts) - ahead
        while self._place_next(sure):
            pass
        while self._held and (number := len(self._dts) - len(self._held)) in self._places and number < sure - ahead + 1:
            if self._delay is None:
                self._delay = self._reordering()
            packet = self._held.popleft()
            packet.pts = self._time(self._places.pop(number) + self._delay)
            yield packet

    def _reordering(self) -> int:
        """How many frames encoder and decoder hold back. The stream states it, and the decoder goes by that; few streams have B-frames
        that need less, and only some that state nothing need more."""
        needed = max(number - place for number, place in self._places.items())
        if self._first is None or self._first[0] not in self._places:
            return max(0, needed)
        number, after = self._first
        return max(0, needed, after - self._places[number])

    def _place_next(self, sure: int) -> bool:
        """Place the next frame that is shown; those of packets before `sure` have come, or never will.

        A frame that never came is taken to have stood before the first that came of a later packet, and after the first keyframe
        of a clip that begins within a group of pictures, before that.
        """
        if self._came and self._came[0] < sure:
            number = self._came.popleft()
            missing = [each for each in self._unplaced if each < number and each not in self._came]
            if not self._begun:
                following = number + 1
                while following < sure and following not in self._came:
                    missing.append(following)
                    following += 1
                self._begun = True
            self._place([*missing, number])
            return True
        if self._unplaced and self._unplaced[0] < sure and self._unplaced[0] not in self._came:
            self._place([self._unplaced[0]])
            return True
        return False

    def _place(self, numbers: list[int]) -> None:
        for number in numbers:
            self._unplaced.remove(number)
            self._places[number] = self._next_place
            self._next_place += 1

    def _time(self, place: int) -> int:
        beyond = max(0, place - len(self._dts) + 1)
        return self._dts[place - beyond] + beyond

    def _decode(self, packet: Packet[VideoStream] | None) -> None:
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            return
        for frame in frames:
            if frame.pts is not None and frame.pts in self._unplaced and frame.pts not in self._came:
                self._first = self._first or (frame.pts, len(self._dts) - 1)
                self._came.append(frame.pts)
