"""Producer reference times of fragmented MP4: what the recorder's clock said at some moment of the track (ISO/IEC 14496-12, `prft`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.storage.object_store import ByteReader

_BOXES = 64
"""At most so many are looked at; the first one comes before the first fragment."""
_NTP_TO_UNIX_SECONDS = 2_208_988_800
"""From 1900 to 1970."""
_LONGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class ProducerTime:
    """`moment` is when what lies at `media_time`, in ticks of the track, was recorded."""

    track_id: int
    moment: Instant
    media_time: int


def producer_time(content: Path | ByteReader) -> ProducerTime | None:
    """The first one of a file; None where it has none before its first fragment, or is no MP4 at all.

    A reader is left where it was.
    """
    if isinstance(content, Path):
        with content.open("rb") as file:
            return _first(file)
    place = content.tell()
    try:
        return _first(content)
    finally:
        content.seek(place)


def _first(file: ByteReader) -> ProducerTime | None:
    place = 0
    for _ in range(_BOXES):
        file.seek(place)
        head = _read(file, 16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if len(head) < 16 or size < 8 or kind in (b"moof", b"mdat"):
            return None
        if kind == b"prft" and size <= _LONGEST_BYTES:
            file.seek(place + 8)
            return _read_prft(_read(file, size - 8))
        place += size
    return None


def _read_prft(body: bytes) -> ProducerTime | None:
    """Version and flags (4 bytes), track (4), NTP time (8), media time (4 or 8 by version)."""
    media_bytes = 8 if body[:1] == b"\1" else 4
    if len(body) != 16 + media_bytes:
        return None
    seconds, fraction = int.from_bytes(body[8:12], "big"), int.from_bytes(body[12:16], "big")
    ns = (seconds - _NTP_TO_UNIX_SECONDS) * NS_PER_SECOND + (fraction * NS_PER_SECOND >> 32)
    return ProducerTime(int.from_bytes(body[4:8], "big"), Instant(ns), int.from_bytes(body[16:], "big"))


def _read(file: ByteReader, count: int) -> bytes:
    """Up to `count` bytes, fewer only at the end."""
    found = b""
    while len(found) < count and (more := file.read(count - len(found))):
        found += more
    return found
