"""Coded pictures as the bytes that a camera wrote: taken out of a film, and looked for in the file that they were copied from."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.video.stream import VideoStream

from throughline.domain.time import MEDIA_RATE, ns_to_ticks

TICK = Fraction(1, MEDIA_RATE)
_EARLY_TICKS = MEDIA_RATE // 1000
"""What rounding can move a frame by; far less than lies between two."""
_LOOKED_AT = 10
"""Packets, of which the first is a large one: a keyframe."""
_HEADER_BYTES = 64
"""More than lies between where a packet is said to begin and its first byte."""
_ENOUGH = 20
"""Units that were not found, after which the rest isn't looked for: each search goes to the end of the file."""


class Incomparable(Exception):
    """The film doesn't show its coded pictures; the text says why."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """[start, end) of a local file; to its end where `end` is None."""

    path: Path
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many units of coded pictures were looked for, and how many were not found where they should come from."""

    units: int
    missing: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """How units lie in a packet: the bytes of each one's length, and where in its first byte its type stands.

    Units of the types `pictures` hold pictures; others, such as parameter sets, may be added and left out when copying.
    """

    length_bytes: int
    shift: int
    mask: int
    pictures: range


_LAYOUTS = {"h264": (4, 0, 31, range(1, 6)), "hevc": (21, 1, 63, range(32))}
"""By codec: where in the extradata the lengths' size stands, and the rest of the layout."""


def compare(film: Path, start_ns: int, end_ns: int, places: Sequence[Bytes]) -> Comparison:
    """Look for every coded picture of [start_ns, end_ns) of a film in `places`, byte for byte and in order.

    Raises Incomparable where the film isn't H.264 or HEVC in MP4, or can't be read.
    """
    units = missing = 0
    search = _Search(places)
    try:
        for unit in coded_units(film, start_ns, end_ns):
            units += 1
            missing += not search.find(unit)
            if missing == _ENOUGH:
                break
    except (av.FFmpegError, ValueError) as error:  # an empty file can't be mapped
        raise Incomparable(f"it can't be read: {error}") from error
    finally:
        search.close()
    return Comparison(units, missing)


def holds_pictures_whole(path: Path) -> bool:
    """Whether the coded pictures of a video file lie in it in one piece each and as they are: in MPEG streams they lie in many, and
    Matroska may compress them."""
    try:
        with av.open(str(path)) as container, path.open("rb") as file:
            for packet in islice(container.demux(video=0), _LOOKED_AT):
                if packet.pos is None:
                    return packet.size == 0  # the end
                file.seek(packet.pos)
                if bytes(packet) not in file.read(packet.size + _HEADER_BYTES):
                    return False
    except (av.FFmpegError, IndexError):
        return False
    return True


def coded_units(film: Path, start_ns: int, end_ns: int) -> Iterator[bytes]:
    """The units (NAL units without their length) of all pictures that are shown in [start_ns, end_ns), in order of decoding."""
    first, end = (ns_to_ticks(ns, TICK) - _EARLY_TICKS for ns in (start_ns, end_ns))
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        layout = _layout(stream)
        ticks = Fraction(stream.time_base or TICK) / TICK
        container.seek(max(0, int(first / ticks)), stream=stream)
        for packet in container.demux(stream):
            if packet.pts is None or packet.dts is None or packet.dts * ticks >= end:
                return
            if first <= packet.pts * ticks < end:
                yield from _units(bytes(packet), layout)


class _Search:
    """Goes forward through places, one after the other."""

    def __init__(self, places: Sequence[Bytes]) -> None:
        self._places = list(places)
        self._open: dict[Path, mmap.mmap] = {}
        self._at = self._places[0].start if self._places else 0

    def find(self, unit: bytes) -> bool:
        """Whether the unit comes next or later; one that doesn't come leaves the search where it is."""
        for index, place in enumerate(self._places):
            file = self._file(place.path)
            begin = self._at if index == 0 else place.start
            found = file.find(unit, begin, len(file) if place.end is None else place.end)
            if found >= 0:
                del self._places[:index]
                self._at = found + len(unit)
                return True
        return False

    def close(self) -> None:
        for file in self._open.values():
            file.close()

    def _file(self, path: Path) -> mmap.mmap:
        if path not in self._open:
            with path.open("rb") as file:
                self._open[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._open[path]


def _layout(stream: VideoStream) -> _Layout:
    codec, extradata = stream.codec_context.name, stream.codec_context.extradata or b""
    if codec not in _LAYOUTS or len(extradata) <= _LAYOUTS[codec][0]:
        raise Incomparable(f"its pictures, {codec}, are not kept as units of H.264 or HEVC")
    at, shift, mask, pictures = _LAYOUTS[codec]
    return _Layout((extradata[at] & 3) + 1, shift, mask, pictures)


def _units(packet: bytes, layout: _Layout) -> Iterator[bytes]:
    at = 0
    while at + layout.length_bytes < len(packet):
        begin = at + layout.length_bytes
        at = begin + int.from_bytes(packet[at:begin])
        if packet[begin] >> layout.shift & layout.mask in layout.pictures:
            yield packet[begin:at]
