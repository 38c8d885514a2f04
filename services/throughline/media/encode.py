"""Writes pictures as an MP4 that every browser plays, each shown exactly from its own time on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream
from pydantic import BaseModel, ConfigDict, Field

from throughline.domain.geometry import Size
from throughline.domain.time import MEDIA_RATE, ns_to_ticks, seconds_to_ns
from throughline.media.frame import Picture
from throughline.media.planes import Canvas, Planes

if TYPE_CHECKING:
    from av.container.core import Chapter as _Entry

TICK = Fraction(1, MEDIA_RATE)


@dataclass(frozen=True, slots=True)
class Chapter:
    """[start_ns, end_ns) of a film, with a title that players list."""

    start_ns: int
    end_ns: int
    title: str

    def to_ffmpeg(self) -> _Entry:
        start, end = ns_to_ticks(self.start_ns, TICK), ns_to_ticks(self.end_ns, TICK)
        return {"id": start, "start": start, "end": end, "time_base": TICK, "metadata": {"title": self.title}}


class EncoderSettings(BaseModel):
    """How films are encoded. The defaults favour speed; PyAV's wheels carry x264, which is GPL."""

    model_config = ConfigDict(frozen=True)

    codec: str = Field(default="libx264", description="FFmpeg's name of the H.264 encoder.")
    preset: str = Field(default="veryfast", description="Encoder preset; empty for encoders that have none.")
    crf: int = Field(default=23, ge=0, le=51, description="Constant quality, lower is better and larger.")
    gop_seconds: float = Field(default=2.0, gt=0, le=60, description="Most seconds between keyframes.")
    threads: int = Field(default=0, ge=0, description="Encoder threads; 0 leaves it to the encoder.")


@dataclass(frozen=True, slots=True)
class Look:
    """What pictures of one encoder have in common: pixel format and, by their numbers in H.273, their colours."""

    format: str
    space: int
    primaries: int
    transfer: int
    range: int

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Self:
        """A decoded frame's own."""
        return cls(frame.format.name, frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range)


_BT709 = 1
_LIMITED = 1
DRAWN = Look("yuv420p", _BT709, _BT709, _BT709, _LIMITED)
"""Of `Planes`."""


class Encoder:
    """An MP4 being written: H.264, time base 1/90000, index at the front, parameter sets in band before every IDR picture.

    Pictures are encoded, and packets of other files copied between them. Times are nanoseconds since the film's start and must
    increase; frames may lie at any distance. Close with the end of the last frame, or use it as a context manager, which shows
    the last frame as long as the one before it. `chapters`: where each begins, and its title. `delay_ticks`: how long before its
    display a frame is decoded, at least as in any packets that are copied: DTS then go on evenly, which players take for durations.
    An exception inside the context leaves a broken file behind: write where it is thrown away, as in a new artifact.
    """

    def __init__(
        self,
        path: Path,
        size: Size,
        settings: EncoderSettings | None = None,
        chapters: Sequence[Chapter] = (),
        delay_ticks: int = 0,
    ) -> None:
        if size.width % 2 or size.height % 2 or min(size.width, size.height) < 2:
            raise ValueError(f"H.264 in yuv420p needs an even width and height, not {size.width}x{size.height}")
        self._size = size
        self._settings = settings or EncoderSettings()
        self._gop_ticks = ns_to_ticks(seconds_to_ns(self._settings.gop_seconds), TICK)
        self._check_codec()
        options = {"movflags": "+faststart", "video_track_timescale": str(MEDIA_RATE)}
        self._container = av.open(str(path), "w", format="mp4", options=options)
        self._stream = self._container.add_mux_stream("h264", rate=30, width=size.width, height=size.height)
        self._stream.time_base = TICK
        self._container.set_chapters([chapter.to_ffmpeg() for chapter in chapters])
        self._codec: VideoCodecContext | None = None
        self._look: Look | None = None
        self._held: Packet[Any] | None = None
        """The last packet, whose duration is known when the film ends."""
        self._delay = delay_ticks
        self._last_dts = -1 - delay_ticks
        self._usual = MEDIA_RATE // 30
        self._last: int | None = None
        self._next_keyframe = 0
        self._closed = False

    def write(self, picture: Canvas | Planes | Picture | av.VideoFrame, time_ns: int) -> None:
        """Show a picture of the film's size from `time_ns` on.

        A canvas is taken as it is, planes are copied, and RGB, (height, width, 3) uint8, is converted. A decoded frame, whose time
        is changed, is encoded with its own colours.
        """
        frame, look = self._framed(picture)
        if (frame.width, frame.height) != (self._size.width, self._size.height):
            raise ValueError(f"expected a picture of {self._size}, got {Size(frame.width, frame.height)}")
        pts = ns_to_ticks(time_ns, TICK)
        self._go_on_to(pts, time_ns)
        if self._codec is None or look != self._look:
            self._flush()
            self._codec, self._look, self._next_keyframe = self._opened(look), look, pts
        frame.pts, frame.time_base, frame.pict_type = pts, TICK, PictureType.NONE
        if pts >= self._next_keyframe:
            frame.pict_type = PictureType.I
            self._next_keyframe = pts + self._gop_ticks
        self._mux(self._codec.encode(frame))

    def copy(self, packets: Iterable[Packet[VideoStream]], time_ns_of: Callable[[int], int]) -> None:
        """Go on with packets of H.264 in Annex B that begin with an IDR picture, in the order of decoding.

        time_ns_of: when a frame is shown in the film, by its PTS in ticks of 1/90000 s.
        """
        self._flush()
        latest: int | None = None
        first_lag = 0
        for packet in packets:
            source_pts = packet.pts or 0
            time_ns = time_ns_of(source_pts)
            pts = ns_to_ticks(time_ns, TICK)
            lag = 0 if packet.dts is None else source_pts - packet.dts
            if latest is None:
                self._go_on_to(pts, time_ns)
                first_lag = lag = min(lag, self._delay)  # after a pause it may be more than any film allows for
            latest = pts if latest is None else max(latest, pts)
            packet.pts, packet.dts = pts, pts - lag + first_lag
            self._mux([packet])
        self._last = latest if latest is not None else self._last

    def close(self, end_ns: int | None = None) -> None:
        """Finish the file; the last frame is shown until `end_ns`, by default as long as the one before it."""
        if self._closed:
            return
        self._closed = True
        self._flush()
        if self._held is not None and self._last is not None:
            end = self._last + self._usual if end_ns is None else ns_to_ticks(end_ns, TICK)
            self._held.duration = max(1, end - (self._held.pts or 0))
            self._container.mux(self._held)
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif not self._closed:
            self._closed = True
            self._container.close()

    def _check_codec(self) -> None:
        """Raise ValueError where FFmpeg has no such encoder of H.264."""
        codec = av.codec.Codec(self._settings.codec, "w")
        if codec.canonical_name != "h264":
            raise ValueError(f"{self._settings.codec} is not an encoder of H.264")

    def _opened(self, look: Look) -> VideoCodecContext:
        codec = av.CodecContext.create(self._settings.codec, "w")
        if not isinstance(codec, VideoCodecContext):
            raise ValueError(f"{self._settings.codec} is not a video encoder")
        codec.width, codec.height, codec.pix_fmt = self._size.width, self._size.height, look.format
        codec.time_base, codec.framerate = TICK, Fraction(30)
        codec.options = {"crf": str(self._settings.crf), "forced-idr": "1"} | (
            {"preset": self._settings.preset} if self._settings.preset else {}
        )
        codec.gop_size = 100_000  # keyframes are set by time, in `write`
        codec.max_b_frames = 0  # so that every packet goes where its picture goes
        codec.thread_count = self._settings.threads
        codec.colorspace, codec.color_primaries, codec.color_trc = look.space, look.primaries, look.transfer
        codec.color_range = look.range
        return codec

    def _framed(self, picture: Canvas | Planes | Picture | av.VideoFrame) -> tuple[av.VideoFrame, Look]:
        if isinstance(picture, av.VideoFrame):
            return picture, Look.of(picture)
        if isinstance(picture, Canvas):
            return picture.frame, DRAWN
        planes = picture if isinstance(picture, Planes) else self._converted(picture)
        return planes.to_frame(), DRAWN

    def _converted(self, rgb: Picture) -> Planes:
        if rgb.shape != (self._size.height, self._size.width, 3) or rgb.dtype != np.uint8:
            raise ValueError(
                f"expected a picture of {self._size.height}x{self._size.width}x3 uint8, got {rgb.shape} {rgb.dtype}"
            )
        return Planes.of_rgb(rgb)

    def _go_on_to(self, pts: int, time_ns: int) -> None:
        if self._last is not None:
            if pts <= self._last:
                raise ValueError(f"frame at {time_ns} ns does not come after the one before it")
            self._usual = pts - self._last
        self._last = pts

    def _flush(self) -> None:
        if self._codec is not None:
            self._mux(self._codec.encode(None))
            self._codec = None

    def _mux(self, packets: Iterable[Packet[Any]]) -> None:
        """Pass on all but the last packet. DTS that would not increase are moved on by ticks: every source lags in its own way."""
        for packet in packets:
            if self._held is not None:
                self._container.mux(self._held)
            dts = ((packet.pts if packet.dts is None else packet.dts) or 0) - self._delay
            self._last_dts = min(packet.pts or 0, max(dts, self._last_dts + 1))
            packet.dts, packet.time_base, packet.stream = self._last_dts, TICK, self._stream
            packet.duration = 1
            self._held = packet
