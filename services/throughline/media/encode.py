"""Writes pictures as an MP4 that every browser plays, each shown exactly from its own time on."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import numpy as np
from av.packet import Packet
from av.stream import Stream
from av.video.frame import PictureType
from pydantic import BaseModel, ConfigDict, Field

from throughline.domain.geometry import Size
from throughline.domain.time import MEDIA_RATE, ns_to_ticks, seconds_to_ns
from throughline.media.frame import Picture
from throughline.media.planes import Canvas, Planes

TICK = Fraction(1, MEDIA_RATE)


class EncoderSettings(BaseModel):
    """How films are encoded. The defaults favour speed; PyAV's wheels carry x264, which is GPL."""

    model_config = ConfigDict(frozen=True)

    codec: str = Field(default="libx264", description="FFmpeg's name of the H.264 encoder.")
    preset: str = Field(default="veryfast", description="Encoder preset; empty for encoders that have none.")
    crf: int = Field(default=23, ge=0, le=51, description="Constant quality, lower is better and larger.")
    gop_seconds: float = Field(default=2.0, gt=0, le=60, description="Most seconds between keyframes.")
    threads: int = Field(default=0, ge=0, description="Encoder threads; 0 leaves it to the encoder.")


class Encoder:
    """An MP4 being written: H.264, yuv420p, BT.709, time base 1/90000, index at the front.

    Times are nanoseconds since the film's start and must increase; frames may lie at any distance. Close with the end
    of the last frame, or use it as a context manager, which shows the last frame as long as the one before it.
    An exception inside the context leaves a broken file behind: write where it is thrown away, as in a new artifact.
    """

    def __init__(self, path: Path, size: Size, settings: EncoderSettings | None = None) -> None:
        if size.width % 2 or size.height % 2 or min(size.width, size.height) < 2:
            raise ValueError(f"H.264 in yuv420p needs an even width and height, not {size.width}x{size.height}")
        settings = settings or EncoderSettings()
        self._size = size
        self._gop_ticks = ns_to_ticks(seconds_to_ns(settings.gop_seconds), TICK)
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        options = {"crf": str(settings.crf), "forced-idr": "1"} | (
            {"preset": settings.preset} if settings.preset else {}
        )
        stream = self._container.add_stream(settings.codec, rate=30, options=options)
        if not isinstance(stream, av.VideoStream):
            raise ValueError(f"{settings.codec} is not a video encoder")
        self._stream = stream
        self._stream.width, self._stream.height, self._stream.pix_fmt = size.width, size.height, "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = TICK
        self._stream.codec_context.gop_size = 100_000  # keyframes are set by time, in `write`
        self._stream.codec_context.max_b_frames = 0  # so that the last packet is the last picture and may state its end
        self._stream.codec_context.thread_count = settings.threads
        for name in ("colorspace", "color_primaries", "color_trc"):
            setattr(self._stream.codec_context, name, 1)  # BT.709
        self._durations: dict[int, int] = {}  # ticks by PTS, of frames that are not in the file yet
        self._usual = MEDIA_RATE // 30
        self._waiting: deque[Packet[Stream]] = deque()
        self._last: int | None = None
        self._next_keyframe = 0
        self._closed = False

    def write(self, picture: Canvas | Planes | Picture, time_ns: int) -> None:
        """Show a picture of the film's size from `time_ns` on; RGB, (height, width, 3) uint8, is converted. All but a canvas is
        copied."""
        drawn = self._converted(picture) if isinstance(picture, np.ndarray) else picture
        if drawn.size != self._size:
            raise ValueError(f"expected a picture of {self._size}, got {drawn.size}")
        pts = ns_to_ticks(time_ns, TICK)
        if self._last is not None:
            if pts <= self._last:
                raise ValueError(f"frame at {time_ns} ns does not come after the one before it")
            self._usual = self._durations[self._last] = pts - self._last
        frame = drawn.frame if isinstance(drawn, Canvas) else drawn.to_frame()
        frame.pts, frame.time_base, frame.pict_type = pts, TICK, PictureType.NONE
        if pts >= self._next_keyframe:
            frame.pict_type = PictureType.I
            self._next_keyframe = pts + self._gop_ticks
        self._last = pts
        self._mux(self._stream.encode(frame))

    def close(self, end_ns: int | None = None) -> None:
        """Finish the file; the last frame is shown until `end_ns`, by default as long as the one before it."""
        if self._closed:
            return
        self._closed = True
        if self._last is not None:
            until_end = self._usual if end_ns is None else ns_to_ticks(end_ns, TICK) - self._last
            self._durations[self._last] = max(1, until_end)
            self._mux(self._stream.encode(None))
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif not self._closed:
            self._closed = True
            self._container.close()

    def _converted(self, rgb: Picture) -> Planes:
        if rgb.shape != (self._size.height, self._size.width, 3) or rgb.dtype != np.uint8:
            raise ValueError(
                f"expected a picture of {self._size.height}x{self._size.width}x3 uint8, got {rgb.shape} {rgb.dtype}"
            )
        return Planes.of_rgb(rgb)

    def _mux(self, packets: Sequence[Packet[Stream]]) -> None:
        """Pass on the packets whose durations are known: all but the frame written last."""
        self._waiting.extend(packets)
        while self._waiting and self._waiting[0].pts in self._durations:
            packet = self._waiting.popleft()
            packet.duration = self._durations.pop(packet.pts or 0)
            self._container.mux(packet)
