"""What a clip holds, read from all of its packets, so that first frame, end and pauses are exact. Only one frame is decoded."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND, Instant, ns_to_ticks, ticks_to_ns
from throughline.media.clip import ClipPackets, UnusableClip, open_clip

PAUSE_NS = 2 * NS_PER_SECOND
"""From this distance on two frames of a clip have a pause between them, rather than a long frame."""
_FALLBACK_FRAME_NS = NS_PER_SECOND // 25
_REORDER = 32
"""More frames than any codec shows out of order."""
SMALLEST_PX, LARGEST_PX = 16, 16_384
_MOST_STRETCHED = 4
"""Pixels wider or higher than this come from broken metadata and are taken for square."""
_OLDEST = Instant.parse("2000-01-01T00:00:00Z")
"""Creation times before this come from clocks that were never set."""
_CODECS_WITH_PARAMETER_SETS = ("h264", "hevc")
_DECODE_ATTEMPTS = 300
"""Packets tried until a first frame comes."""


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """What must be equal for two clips to share one file."""

    codec: str
    coded: Size
    rotation_degrees: int
    """Clockwise turn from the coded to the upright picture: 0, 90, 180 or 270."""
    extradata: bytes
    """Parameter sets."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a coded pixel over its height."""

    @property
    def upright(self) -> Size:
        """As shown: in square pixels, none of the coded ones lost, and turned upright."""
        width, height = self.coded.width, self.coded.height
        if self.pixel_aspect > 1:
            width = round(width * self.pixel_aspect)
        else:
            height = round(height / self.pixel_aspect)
        return Size(height, width) if self.rotation_degrees in (90, 270) else Size(width, height)


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """A usable clip."""

    format: ClipFormat
    first_pts: int
    """PTS of the first frame that can be decoded, in units of `time_base`."""
    time_base: Fraction
    duration_ns: int
    """First frame to the end of the last."""
    frame_count: int
    left_out: int
    """Frames that nothing can decode: before the first keyframe, or broken."""
    lead_ns: int
    """From the first of the frames before the first keyframe to the first that can be decoded."""
    pauses: tuple[tuple[int, int], ...]
    """Where nothing was recorded: end of one frame and start of the next, in nanoseconds since the first frame."""
    creation_time: Instant | None
    """What the container says of itself, in whole seconds."""
    flaw: str
    """Why only a part of the clip is usable, such as `it breaks off`; empty if all is."""


def probe(path: Path) -> ClipInfo:
    """Read a file to its end. Raises UnusableClip where it gives no footage."""
    clip_format, creation_time = _first_frame(path)
    _check_size(clip_format)
    if clip_format.codec in _CODECS_WITH_PARAMETER_SETS and not clip_format.extradata:
        raise UnusableClip("chunk_corrupt", "its parameter sets are missing")
    with open_clip(path) as (container, stream):
        time_base = stream.time_base or Fraction(1, 90_000)
        packets = ClipPackets(container, stream)
        timing = _Timing(time_base)
        for packet, pts in packets:
            timing.add(pts, packet.duration or 0)
        timing.finish()
    return ClipInfo(
        format=clip_format,
        first_pts=timing.first,
        time_base=time_base,
        duration_ns=timing.duration_ns,
        frame_count=timing.count,
        left_out=packets.left_out,
        lead_ns=ticks_to_ns(packets.lead, time_base),
        pauses=tuple(timing.pauses),
        creation_time=creation_time,
        flaw=packets.flaw,
    )


def _check_size(clip_format: ClipFormat) -> None:
    coded, upright = clip_format.coded, clip_format.upright
    if min(coded.width, coded.height) < SMALLEST_PX or max(upright.width, upright.height) > LARGEST_PX:
        raise UnusableClip(
            "chunk_size_unsupported",
            f"its pictures are {coded.width}x{coded.height}; {SMALLEST_PX} to {LARGEST_PX} pixels a side are taken",
        )


def _first_frame(path: Path) -> tuple[ClipFormat, Instant | None]:
    """Decode up to the first frame: the proof that there is one, and the only place where its rotation is known."""
    with open_clip(path) as (container, stream):
        stream.codec_context.thread_count = 1
        keyframes = 0
        for attempt, (packet, _) in enumerate(ClipPackets(container, stream)):
            keyframes += packet.is_keyframe
            try:
                frames = packet.decode()
            except av.FFmpegError:
                frames = []
            if frames:
                return _format(stream, frames[0]), _creation_time(container.metadata.get("creation_time", ""))
            if attempt >= _DECODE_ATTEMPTS:
                break
        frames = _flushed(stream)
        if frames:
            return _format(stream, frames[0]), _creation_time(container.metadata.get("creation_time", ""))
    if keyframes:
        raise UnusableClip("chunk_corrupt", "none of its first frames can be decoded")
    raise UnusableClip("chunk_no_keyframe", "it has no keyframe that can be read")


def _flushed(stream: av.VideoStream) -> list[av.VideoFrame]:
    try:
        return stream.decode(None)
    except av.FFmpegError:
        return []


def _format(stream: av.VideoStream, frame: av.VideoFrame) -> ClipFormat:
    return ClipFormat(
        codec=stream.codec_context.codec.canonical_name,
        coded=Size(frame.width, frame.height),
        rotation_degrees=-90 * round(frame.rotation / 90) % 360,
        extradata=stream.codec_context.extradata or b"",
        pixel_aspect=_pixel_aspect(stream),
    )


def _pixel_aspect(stream: av.VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return aspect if Fraction(1, _MOST_STRETCHED) <= aspect <= _MOST_STRETCHED else Fraction(1)


def _creation_time(text: str) -> Instant | None:
    try:
        moment = Instant.parse(text)
    except ValueError:
        return None
    return moment if moment >= _OLDEST else None


class _Timing:
    """First frame, end and pauses, from packets in the order of decoding; memory stays flat. Counts in ticks of the clip."""

    def __init__(self, time_base: Fraction) -> None:
        self.first = 0
        self.count = 0
        self.pauses: list[tuple[int, int]] = []
        self._time_base = time_base
        self._pause = ns_to_ticks(PAUSE_NS, time_base)
        self._usual = ns_to_ticks(_FALLBACK_FRAME_NS, time_base)
        self._waiting: list[tuple[int, int]] = []
        self._latest = 0
        self._end = 0

    @property
    def duration_ns(self) -> int:
        return self._ns(self._end)

    def add(self, pts: int, duration: int) -> None:
        heapq.heappush(self._waiting, (pts, duration))
        if len(self._waiting) > _REORDER:
            self._show(*heapq.heappop(self._waiting))

    def finish(self) -> None:
        while self._waiting:
            self._show(*heapq.heappop(self._waiting))

    def _show(self, pts: int, duration: int) -> None:
        if not self.count:
            self.first = self._latest = pts
        step = pts - self._latest
        if step >= self._pause:
            self.pauses.append((self._ns(self._latest + self._usual), self._ns(pts)))
        elif step > 0:
            self._usual = step
        self.count += 1
        self._latest = pts
        self._end = pts + (duration if 0 < duration < self._pause else self._usual)

    def _ns(self, pts: int) -> int:
        return ticks_to_ns(pts - self.first, self._time_base)
