"""Lays a camera's chunks one after the other into parts, and keeps the account of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from throughline.domain.footage import ChunkObject, ChunkTime, Reel, ReelChunk, ReelPart, TimeSource
from throughline.domain.time import MEDIA_RATE, NS_PER_SECOND, Instant, Interval, ticks_to_ns
from throughline.ingest.account import Account
from throughline.ingest.names import AMBIGUITY_NS
from throughline.ingest.placement import Place, place
from throughline.media.probe import ClipFormat, ClipInfo
from throughline.media.remux import Copied, PartWriter
from throughline.storage.gops import GopWriter

NEW_PART_GAP_NS = 3600 * NS_PER_SECOND
"""A longer gap starts a new part: FFmpeg's MP4 muxer silently collapses gaps of more than INT_MAX ticks."""

_TICK_NS = NS_PER_SECOND // MEDIA_RATE + 1
"""What rounding to ticks can leave between chunks that lie end to end."""


@dataclass(frozen=True, slots=True)
class UsableChunk:
    """A chunk with its time, its file on this machine and what that holds. The time is that of the first frame recorded, though
    nothing may be able to decode that."""

    chunk: ChunkObject
    time: ChunkTime
    path: Path
    sha256: str
    version_id: str
    info: ClipInfo


class ReelBuilder:
    """Chunks go in by `add`, in order of their stated times; `finish` gives the reel.

    One chunk is always held back, since the next one decides where it ends. The files of chunks that are done with are removed.
    """

    def __init__(self, camera: str, folder: Path, gops: GopWriter, snap_ns: int, check: Callable[[], None]) -> None:
        self._camera = camera
        self._folder = folder
        self._gops = gops
        self._snap_ns = snap_ns
        self._check = check
        self._account = Account(camera)
        self._held: tuple[UsableChunk, Place] | None = None
        self._end: Instant | None = None
        self._writer: PartWriter | None = None
        self._format: ClipFormat | None = None
        self._parts: list[ReelPart] = []
        self._chunks: list[ReelChunk] = []
        self._gaps: list[Interval] = []

    def skip(self, chunk: ChunkObject, time: ChunkTime | None, code: str, problem: str, sha256: str = "") -> None:
        """Leave a chunk out, and say so."""
        self._chunks.append(replace(_entry(chunk, time, sha256), problem=problem))
        self._account.skipped(chunk, code, problem)

    def add(self, usable: UsableChunk) -> None:
        """Take a chunk; where the one before it covers its time, it is skipped."""
        start = usable.time.start + usable.info.lead_ns
        held = None if self._held is None else _recorded(*self._held, start, self._snap_ns)
        where = place(held, start, usable.info.duration_ns, self._snap_ns)
        if where is None:
            problem = f"{self._held[0].chunk.name} covers the same time" if self._held else ""
            self.skip(usable.chunk, usable.time, "chunk_covered", problem, usable.sha256)
            usable.path.unlink()
            return
        self._write_held(until=where.start)
        self._held = (usable, where)

    def finish(self) -> Reel:
        """Write what is held back and end the last part."""
        self._write_held(until=None)
        self._end_part()
        parts, chunks, gaps = tuple(self._parts), tuple(self._chunks), tuple(self._gaps)
        return Reel(self._camera, parts, chunks, gaps, tuple(self._account.incidents()))

    def close(self) -> None:
        """Close what an error left open."""
        self._end_part()

    def _write_held(self, until: Instant | None) -> None:
        if self._held is None:
            return
        usable, where = self._held
        self._held = None
        start = where.start
        if self._end is not None and abs(start - self._end) <= _TICK_NS:
            start = self._end  # which was rounded to a tick of its part
        writer = self._part_for(usable.info.format, start)
        copied = writer.append(usable.path, usable.info, start, until, self._check)
        usable.path.unlink()
        if not copied.frame_count:
            self.skip(usable.chunk, usable.time, "chunk_corrupt", copied.flaw, usable.sha256)
            return
        if self._end is not None and copied.span.start > self._end:
            self._gaps.append(Interval(self._end, copied.span.start))
        self._gaps += copied.pauses
        self._end = copied.span.end
        part = self._parts[-1]
        self._parts[-1] = replace(part, span=Interval(part.span.start, copied.span.end), frame_count=writer.frame_count)
        entry = replace(
            _entry(usable.chunk, usable.time, usable.sha256),
            version_id=usable.version_id,
            part=len(self._parts) - 1,
            span=copied.span,
            first_pts_ns=ticks_to_ns(usable.info.first_pts, usable.info.time_base),
            snapped_ns=where.snapped_ns,
            frame_count=copied.frame_count,
            undecodable_frames=usable.info.left_out,
            dropped_frames=copied.cut_frames,
            problem=usable.info.flaw or copied.flaw,
        )
        self._index(writer, copied)
        self._chunks.append(entry)
        self._account.used(entry, is_ambiguous=_is_ambiguous(usable.time))

    def _index(self, writer: PartWriter, copied: Copied) -> None:
        """Note which bytes of the chunk that was just copied hold which moments."""
        count = len(copied.gops)
        self._gops.write(
            [len(self._chunks)] * count,
            [len(self._parts) - 1] * count,
            [writer.at(gop.start).ns for gop in copied.gops],
            [writer.at(gop.end).ns for gop in copied.gops],
            [gop.frame_count for gop in copied.gops],
            [gop.source_start for gop in copied.gops],
            [gop.source_end for gop in copied.gops],
        )

    def _part_for(self, clip_format: ClipFormat, start: Instant) -> PartWriter:
        """The open part where a clip may go on in it, else a new one that begins with the clip."""
        is_near = self._end is not None and start - self._end <= NEW_PART_GAP_NS
        if self._writer is not None and self._writer.frame_count and is_near and clip_format == self._format:
            return self._writer
        self._end_part()
        file = f"part-{len(self._parts):03d}.mp4"
        self._writer, self._format = PartWriter(self._folder / file, start), clip_format
        self._parts.append(
            ReelPart(
                file=file,
                epoch=start,
                span=Interval(start, start),
                codec=clip_format.codec,
                size=clip_format.upright,
                rotation_degrees=clip_format.rotation_degrees,
                frame_count=0,
            )
        )
        return self._writer

    def _end_part(self) -> None:
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.close()
        if not writer.frame_count:
            self._parts.pop()


def _entry(chunk: ChunkObject, time: ChunkTime | None, sha256: str) -> ReelChunk:
    return ReelChunk(chunk.name, chunk.uri, chunk.etag, chunk.size_bytes, sha256, time)


def _recorded(usable: UsableChunk, where: Place, moment: Instant, snap_ns: int) -> Interval:
    """What a chunk covers, as seen by one that starts at `moment`: up to the pause that `moment` lies in, or to the end.

    One broken time stamp can make a chunk reach far beyond its end; it must not shut out the chunks that follow.
    """
    for pause_start, pause_end in usable.info.pauses:
        if where.start + (pause_start - snap_ns) <= moment < where.start + pause_end:
            return Interval(where.start, where.start + pause_start)
    return Interval(where.start, where.start + usable.info.duration_ns)


def _is_ambiguous(time: ChunkTime) -> bool:
    return time.source is TimeSource.FILE_NAME and time.uncertainty_ns == AMBIGUITY_NS
