"""Writes a video file as a camera does: constant rate, planar pictures as they leave the sensor. For simulated footage."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Size
from throughline.media.encode import TICK, EncoderSettings

_GOP_SECONDS = 2
_BT601 = 6


def write_chunk(
    path: Path, frames: Iterable[NDArray[np.uint8]], size: Size, ticks_per_frame: int, settings: EncoderSettings
) -> int:
    """Encode frames (h * 3 / 2, w) uint8, planar YUV 4:2:0 in BT.601, into an MP4 that begins at PTS 0; returns how many.

    `ticks_per_frame` are of 1/90000 s. The same frames and settings give the same bytes when `settings.threads` is 1.
    """
    count = 0
    with av.open(str(path), "w", format="mp4") as container:
        rate = TICK.denominator // ticks_per_frame
        options = {"crf": str(settings.crf), "preset": settings.preset}
        stream = container.add_stream(settings.codec, rate=rate, options=options)
        if not isinstance(stream, av.VideoStream):
            raise ValueError(f"{settings.codec} is not a video encoder")
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = TICK
        stream.codec_context.gop_size = _GOP_SECONDS * rate
        stream.codec_context.thread_count = settings.threads
        stream.codec_context.max_b_frames = 0
        stream.codec_context.colorspace = _BT601
        for planes in frames:
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = count * ticks_per_frame, TICK
            frame.colorspace = _BT601
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode(None))
    return count
