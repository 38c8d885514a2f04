"""Generated clips, odd ones included. Every frame shows its own number as a row of black and white blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType

from throughline.domain.geometry import Size
from throughline.media.frame import Picture

BITS = 12
SMALL = Size(192, 64)


@dataclass(frozen=True, slots=True)
class Clip:
    """What to generate. Times are ticks of `time_base`; `start` is added to every one of them."""

    times: Sequence[int]
    time_base: Fraction = Fraction(1, 90_000)
    size: Size = SMALL
    codec: str = "libx264"
    b_frames: int = 0
    gop: int = 12
    first_number: int = 0
    rotation_degrees: int = 0
    """Clockwise turn from the coded to the upright picture."""
    audio: bool = False
    crf: int = 23
    open_gop: bool = False
    """Frames before a keyframe, but after it in the order of decoding, may need those before it."""
    metadata: tuple[tuple[str, str], ...] = ()
    encoder: str = ""
    """Settings of x264 or x265, as `name=value:name=value`; they replace those above."""


def steady(count: int, rate: int = 15, start_ticks: int = 0) -> list[int]:
    """`count` PTS of 1/90000 s at a constant rate."""
    return [start_ticks + index * 90_000 // rate for index in range(count)]


def numbered_picture(number: int, size: Size) -> Picture:
    """Blocks from left to right, the lowest bit first; white is one."""
    picture = np.full((size.height, size.width, 3), 16, np.uint8)
    width = size.width // BITS
    for bit in range(BITS):
        picture[:, bit * width : (bit + 1) * width] = 235 if number >> bit & 1 else 16
    return picture


def number_in(picture: Picture) -> int:
    """The number that an upright picture shows."""
    height, width = picture.shape[:2]
    block = width // BITS
    row = picture[height // 2]
    return sum(1 << bit for bit in range(BITS) if row[bit * block + block // 2].mean() > 128)


def make_clip(path: Path, clip: Clip) -> Path:
    """Write `clip` to `path`; the container follows the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": "use_metadata_tags"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(dict(clip.metadata))
        stream = container.add_stream(clip.codec, rate=30, options={"preset": "ultrafast", "crf": str(clip.crf)})
        assert isinstance(stream, av.VideoStream)
        coded = clip.size if clip.rotation_degrees % 180 == 0 else Size(clip.size.height, clip.size.width)
        stream.width, stream.height, stream.pix_fmt = coded.width, coded.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = clip.time_base
        stream.codec_context.gop_size = 10_000
        stream.codec_context.max_b_frames = clip.b_frames
        stream.codec_context.thread_count = 1
        if clip.encoder:
            settings = "x265-params" if clip.codec == "libx265" else "x264-params"
            stream.codec_context.options = {"preset": "veryfast", settings: clip.encoder}
        elif clip.codec == "libx265":
            gop = f":keyint={clip.gop}:open-gop=1" if clip.open_gop else ""
            stream.codec_context.options = {
                "preset": "ultrafast",
                "x265-params": f"log-level=none:bframes={clip.b_frames}{gop}",
            }
        elif clip.open_gop:
            stream.codec_context.options = {
                "preset": "ultrafast",
                "x264-params": f"open-gop=1:b-adapt=0:keyint={clip.gop}:min-keyint=1:scenecut=0",
            }
        if clip.rotation_degrees:
            stream.set_display_rotation(-clip.rotation_degrees)
        sound = container.add_stream("aac", rate=8000) if clip.audio else None
        for index, ticks in enumerate(clip.times):
            upright = numbered_picture(clip.first_number + index, clip.size)
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(np.rot90(upright, clip.rotation_degrees // 90)), format="rgb24"
            )
            frame.pts, frame.time_base = ticks, clip.time_base
            if index % clip.gop == 0 and not clip.open_gop:
                frame.pict_type = PictureType.I
            container.mux(stream.encode(frame))
            if isinstance(sound, av.AudioStream):
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                samples.sample_rate, samples.pts = 8000, index * 1024
                container.mux(sound.encode(samples))
        container.mux(stream.encode(None))
        if isinstance(sound, av.AudioStream):
            container.mux(sound.encode(None))
    return path
