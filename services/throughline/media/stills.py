"""Single frames of a video file by their number, and the times of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput
from throughline.domain.time import Instant, ticks_to_ns
from throughline.media.clip import ClipPackets, UnusableClip, open_clip
from throughline.media.frame import Frame
from throughline.media.probe import ClipScan


def frame_times(path: Path) -> NDArray[np.int64]:
    """(n,) int64: when each frame is shown, in nanoseconds since the first, in order; nothing is decoded.

    Raises InvalidInput where the file gives no video.
    """
    ticks, base = _ticks(path)
    return np.array([ticks_to_ns(tick - ticks[0], base) for tick in ticks], np.int64)


def frames_by_number(path: Path, numbers: Sequence[int], threads: int = 0) -> Iterator[tuple[int, Frame]]:
    """Those of the frames `numbers` (from 0, in order of display) that decode, in order; their times count from the first frame.

    Nothing is decoded after the last of them. Raises InvalidInput where the file gives no video.
    """
    ticks, base = _ticks(path)
    number_of = {ticks[number]: number for number in sorted(set(numbers)) if 0 <= number < len(ticks)}
    with _usable(path), ClipScan(path) as scan:
        size, turned = scan.format.upright, scan.format.rotation_degrees
    for pts, picture in _decoded(path, threads):
        number = number_of.pop(pts, None)
        if number is not None:
            yield number, Frame(Instant(ticks_to_ns(pts - ticks[0], base)), 0, size, turned, picture, 0)
        if not number_of:
            return


def _ticks(path: Path) -> tuple[list[int], Fraction]:
    """PTS of all frames, in order of display, and their unit."""
    with _usable(path), open_clip(path) as (container, stream):
        return sorted({pts for _, pts in ClipPackets(container, stream)}), stream.time_base or Fraction(1, 90_000)


def _decoded(path: Path, threads: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """PTS and picture of all frames that decode, in order of display."""
    with _usable(path), open_clip(path, to_decode=True) as (container, stream):
        stream.thread_type = av.codec.context.ThreadType.AUTO
        stream.codec_context.thread_count = threads
        for packet, pts in chain(ClipPackets(container, stream), [(None, 0)]):
            if packet is not None:
                packet.pts = pts  # where its format doesn't say when it is shown
            try:
                pictures = stream.decode(packet)
            except av.FFmpegError:
                continue
            for picture in pictures:
                if picture.pts is not None:
                    yield picture.pts, picture


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except UnusableClip as error:
        raise InvalidInput(f"{path} cannot be used: {error}; give a video that plays") from error
