"""What a clip holds, read from all of its packets, so that first frame, end and pauses are exact. Only one frame is decoded."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Self

import av
from av.packet import Packet
from av.video.stream import VideoStream

from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND, Instant, ns_to_ticks, ticks_to_ns
from throughline.media.clip import ClipPackets, Readable, UnusableClip, open_clip
from throughline.media.prft import producer_time
from throughline.storage.object_store import ByteReader

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
_DECODE_BYTES = 32 * 2**20
"""Held for it at most."""


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


class ClipScan:
    """A clip that is read once, from its start to its end: its format is known at the start, the rest of it at the end.

    Iterating gives each usable packet with its PTS, in the order of decoding.
    """

    def __init__(self, source: Path | ByteReader) -> None:
        """Open a clip and look at its beginning. Raises UnusableClip where it gives no footage, and what reading raises."""
        self.source = source
        self._file = source if isinstance(source, Path) else Readable(source)
        self._opened = ExitStack()
        try:
            self.container, self.stream = self._opened.enter_context(open_clip(self._file))
            self.time_base = self.stream.time_base or Fraction(1, 90_000)
            self._packets = ClipPackets(self.container, self.stream)
            self._timing = _Timing(self.time_base)
            self._coming = iter(self._packets)
            self._ahead: list[tuple[Packet[VideoStream], int]] = []
            self.format = self._look()
            self._lead = self._packets.lead
            self._read_well()
        except UnusableClip:
            self.close()
            self._read_well()
            raise
        except BaseException:
            self.close()
            raise

    @property
    def first_pts(self) -> int:
        """PTS of the first frame that can be decoded, in units of `time_base`."""
        return self._ahead[0][1]

    @property
    def lead_ns(self) -> int:
        """From the first of the frames before the first keyframe to the first that can be decoded."""
        return ticks_to_ns(self._lead, self.time_base)

    def __iter__(self) -> Iterator[tuple[Packet[VideoStream], int]]:
        for packet, pts in chain(self._ahead, self._coming):
            self._timing.add(pts, packet.duration or 0)
            yield packet, pts
        self._timing.finish()
        self._read_well()

    @property
    def creation_time(self) -> Instant | None:
        """What the container says of itself, in whole seconds."""
        return _creation_time(self.container.metadata.get("creation_time", ""))

    @property
    def producer_time(self) -> Instant | None:
        """When its first frame was recorded, by the recorder's clock, where a fragmented MP4 says so."""
        stated = producer_time(self.source)
        if stated is None or stated.track_id != self.stream.id:
            return None
        moment = stated.moment + ticks_to_ns(self.first_pts - stated.media_time, self.time_base)
        return moment if moment >= _OLDEST else None

    def read(self) -> ClipInfo:
        """Read the clip to its end, for nothing but to know what it holds."""
        for _ in self:
            pass
        return self.info()

    def info(self) -> ClipInfo:
        """What the clip held, once it was read to its end."""
        return ClipInfo(
            format=self.format,
            first_pts=self._timing.first,
            time_base=self.time_base,
            duration_ns=self._timing.duration_ns,
            frame_count=self._timing.count,
            left_out=self._packets.left_out,
            lead_ns=self.lead_ns,
            pauses=tuple(self._timing.pauses),
            creation_time=self.creation_time,
            flaw=self._packets.flaw,
        )

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _look(self) -> ClipFormat:
        """Decode up to the first frame: the proof that there is one, and the only place where its rotation is known.

        One packet more is read than that takes, so that the frames are known which are shown before the first but come after it.
        """
        self.stream.codec_context.thread_count = 1
        frames: list[av.VideoFrame] = []
        read_bytes = 0
        for packet, pts in self._coming:
            self._ahead.append((packet, pts))
            if frames:
                break
            try:
                frames = packet.decode()
            except av.FFmpegError:
                frames = []
            read_bytes += packet.size
            if not frames and (len(self._ahead) > _DECODE_ATTEMPTS or read_bytes > _DECODE_BYTES):
                break
        frames = frames or _flushed(self.stream)
        if not frames:
            if any(packet.is_keyframe for packet, _ in self._ahead):
                raise UnusableClip("chunk_corrupt", "none of its first frames can be decoded")
            raise UnusableClip("chunk_no_keyframe", "it has no keyframe that can be read")
        clip_format = _format(self.stream, frames[0])
        _check_size(clip_format)
        if clip_format.codec in _CODECS_WITH_PARAMETER_SETS and not clip_format.extradata:
            raise UnusableClip("chunk_corrupt", "its parameter sets are missing")
        return clip_format

    def _read_well(self) -> None:
        if isinstance(self._file, Readable):
            self._file.reraise()


def probe(path: Path) -> ClipInfo:
    """Read a file to its end. Raises UnusableClip where it gives no footage."""
    with ClipScan(path) as scan:
        return scan.read()


def _check_size(clip_format: ClipFormat) -> None:
    coded, upright = clip_format.coded, clip_format.upright
    if min(coded.width, coded.height) < SMALLEST_PX or max(upright.width, upright.height) > LARGEST_PX:
        raise UnusableClip(
            "chunk_size_unsupported",
            f"its pictures are {coded.width}x{coded.height}; {SMALLEST_PX} to {LARGEST_PX} pixels a side are taken",
        )


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
