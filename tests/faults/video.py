"""Real video files as no recorder should write them."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.media.clips import SMALL, numbered_picture
from throughline.domain.geometry import Size
from throughline.media.frame import Picture

TICK = Fraction(1, 90_000)


@dataclass(frozen=True, slots=True)
class Odd:
    """What to encode; every frame shows its number. `pts` are ticks of 1/90000 s."""

    pts: Sequence[int] = tuple(range(0, 20 * 6000, 6000))
    size: Size = SMALL
    pixels: str = "yuv420p"
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=lambda: {"preset": "ultrafast"})
    pixel_aspect: Fraction | None = None
    is_doubled: bool = False
    """With a second, smaller video stream."""


def encoded(path: Path, odd: Odd, pictures: Sequence[Picture] = ()) -> bytes:
    """The file's bytes; its container follows the path's suffix. `pictures` in place of numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = _stream(container, odd.codec, odd.size, odd.pixels, odd.options)
        if odd.pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = odd.pixel_aspect
        second = _stream(container, "libx264", Size(64, 48), "yuv420p", {}) if odd.is_doubled else None
        for index, pts in enumerate(odd.pts):
            picture = pictures[index] if pictures else numbered_picture(index, odd.size)
            container.mux(stream.encode(_frame(picture, pts)))
            if second is not None:
                container.mux(second.encode(_frame(np.zeros((48, 64, 3), np.uint8), pts)))
        for each in filter(None, (stream, second)):
            container.mux(each.encode(None))
    return path.read_bytes()


def cut(path: Path, odd: Odd, first: int, last: int = 10_000) -> bytes:
    """Packets `first` to before `last` of an encoded file, copied; a keyframe every 12 frames."""
    source = path.with_name("source.ts")
    encoded(source, odd)
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        target = container.add_stream_from_template(given.streams.video[0], opaque=True)
        for number, packet in enumerate(given.demux(video=0)):
            if packet.size and first <= number < last:
                packet.stream = target
                container.mux(packet)
    return path.read_bytes()


def sound_alone(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        assert isinstance(stream, av.AudioStream)
        for index in range(20):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 8000, index * 1024
            container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    return path.read_bytes()


def with_damaged_first_keyframe(path: Path) -> bytes:
    """An encoded file's bytes, the end of its first picture overwritten."""
    with av.open(str(path)) as container:
        first = next(container.demux(video=0))
        assert first.pos is not None
        end = first.pos + first.size
    data = path.read_bytes()
    return data[: end - 80] + os.urandom(80) + data[end:]


def with_stated_duration(data: bytes, duration: int) -> bytes:
    """An MP4 whose movie header states another duration."""
    at = data.index(b"mvhd") + 4 + 16
    return data[:at] + struct.pack(">I", duration) + data[at + 4 :]


def _stream(
    container: av.container.OutputContainer, codec: str, size: Size, pixels: str, options: dict[str, str]
) -> av.VideoStream:
    stream = container.add_stream(codec, rate=15, options=dict(options))
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = size.width, size.height, pixels
    stream.time_base = stream.codec_context.time_base = TICK
    stream.codec_context.gop_size, stream.codec_context.thread_count = 12, 1
    stream.codec_context.max_b_frames = 0
    return stream


def _frame(picture: Picture, pts: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    frame.pts, frame.time_base = pts, TICK
    return frame
