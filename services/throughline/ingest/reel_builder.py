"""Lays a camera's chunks one after the other into parts, and keeps the account of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from throughline.domain.errors import NotFound
from throughline.domain.footage import ChunkObject, ChunkTime, Reel, ReelChunk, ReelPart, TimeSource
from throughline.domain.time import MEDIA_RATE, NS_PER_SECOND, Instant, Interval, ticks_to_ns
from throughline.ingest.account import Account
from throughline.ingest.fetching import count
from throughline.ingest.loss import LOSSES, Loss, LostOnTheWay
from throughline.ingest.names import AMBIGUITY_NS
from throughline.ingest.placement import Place, place, spread
from throughline.media.clip import UnusableClip
from throughline.media.probe import ClipFormat, ClipScan
from throughline.media.remux import ClipCopy, Copied, PartWriter
from throughline.storage.gops import GopWriter
from throughline.storage.object_store import OpenObject

NEW_PART_GAP_NS = 3600 * NS_PER_SECOND
"""A longer gap starts a new part: FFmpeg's MP4 muxer silently collapses gaps of more than INT_MAX ticks."""
MOST_PART_FRAMES = 1_000_000
"""From here on the next chunk starts a new part: FFmpeg keeps an MP4's index in memory until its end, 70 MB for a million frames."""

_TICK_NS = NS_PER_SECOND // MEDIA_RATE + 1
"""What rounding to ticks can leave between chunks that lie end to end."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A chunk that can be read, with its time: that of the first frame recorded, though nothing may be able to decode that."""

    chunk: ChunkObject
    time: ChunkTime
    file: OpenObject


@dataclass(frozen=True, slots=True)
class _Copying:
    """A chunk that was read to its end. What may come to be cut off is not yet in its part."""

    arrived: Arrived
    scan: ClipScan
    where: Place
    stretch_ppb: int
    copy: ClipCopy
    writer: PartWriter
    sha256: str


class ReelBuilder:
    """Chunks go in by `add`, in order of their stated times; `finish` gives the reel.

    Each is copied as it is read. Only its end is held back where the next one may cut it off. Files are closed when they are done with.
    """

    def __init__(self, camera: str, folder: Path, gops: GopWriter, snap_ns: int, check: Callable[[], None]) -> None:
        self._camera = camera
        self._folder = folder
        self._gops = gops
        self._snap_ns = snap_ns
        self._check = check
        self._account = Account(camera)
        self._open = ExitStack()
        self._held: _Copying | None = None
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

    def add(self, arrived: Arrived, following: Instant | None) -> None:
        """Take a chunk; where the one before it covers its time, it is skipped. `following` is what the next one states.

        Raises LostOnTheWay where a chunk turns out to be lost, and what else reading it raises; the builder can only be closed then.
        """
        with ExitStack() as opened:
            opened.callback(arrived.file.close)
            scan = self._scanned(arrived, opened)
            if scan is None:
                return
            start = arrived.time.start + scan.lead_ns
            held = None if self._held is None else _recorded(self._held.copy, start, self._snap_ns)
            duration_ns = 0
            if held is not None and held.end - start >= self._snap_ns:  # then it counts how long this one is
                with _losing(arrived.chunk):
                    duration_ns = scan.read().duration_ns
                    scan = opened.enter_context(ClipScan(arrived.file.content))
            where = place(held, start, duration_ns, self._snap_ns)
            if where is None:
                problem = f"{self._held.arrived.chunk.name} covers the same time" if self._held else ""
                self._leave_out(arrived, "chunk_covered", problem)
                return
            self._write_held(until=where.start)
            with _losing(arrived.chunk):
                self._held = self._begin(arrived, scan, where, following)
            self._open = opened.pop_all()

    def finish(self) -> Reel:
        """Write what is held back and end the last part."""
        self._write_held(until=None)
        self._end_part()
        parts, chunks, gaps = tuple(self._parts), tuple(self._chunks), tuple(self._gaps)
        return Reel(self._camera, parts, chunks, gaps, tuple(self._account.incidents()))

    def close(self) -> None:
        """Close what an error left open."""
        self._open.close()
        self._end_part()

    def _scanned(self, arrived: Arrived, opened: ExitStack) -> ClipScan | None:
        """A chunk's content, or None where it gives no footage and is left out."""
        try:
            with _losing(arrived.chunk):
                scan = opened.enter_context(ClipScan(arrived.file.content))
        except UnusableClip as error:
            count(arrived.chunk, usable=False)
            self._leave_out(arrived, error.code, str(error))
            return None
        count(arrived.chunk, usable=True)
        return scan

    def _leave_out(self, arrived: Arrived, code: str, problem: str) -> None:
        with _losing(arrived.chunk):
            sha256 = arrived.file.sha256() if arrived.chunk.size_bytes else ""
        self.skip(arrived.chunk, arrived.time, code, problem, sha256)

    def _begin(self, arrived: Arrived, scan: ClipScan, where: Place, following: Instant | None) -> _Copying:
        """Read a chunk to its end and copy what is shown before `following`."""
        start = where.start
        if self._end is not None and abs(start - self._end) <= _TICK_NS:
            start = self._end  # which was rounded to a tick of its part
        writer = self._part_for(scan.format, start)
        stretch_ppb = spread(where, following)
        copy = ClipCopy(writer, scan, start, stretch_ppb, self._check)
        copy.run(hold_from=following)
        return _Copying(arrived, scan, where, stretch_ppb, copy, writer, arrived.file.sha256())

    def _write_held(self, until: Instant | None) -> None:
        if self._held is None:
            return
        held, self._held = self._held, None
        chunk, time, info = held.arrived.chunk, held.arrived.time, held.scan.info()
        with _losing(chunk):
            copied = held.copy.finish(until)
        self._open.close()
        if not copied.frame_count:
            self.skip(chunk, time, "chunk_corrupt", copied.flaw, held.sha256)
            return
        if self._end is not None and copied.span.start > self._end:
            self._gaps.append(Interval(self._end, copied.span.start))
        self._gaps += copied.pauses
        self._end = copied.span.end
        part = self._parts[-1]
        frame_count = held.writer.frame_count
        self._parts[-1] = replace(part, span=Interval(part.span.start, copied.span.end), frame_count=frame_count)
        entry = replace(
            _entry(chunk, time, held.sha256),
            version_id=held.arrived.file.version_id,
            part=len(self._parts) - 1,
            span=copied.span,
            first_pts_ns=ticks_to_ns(info.first_pts, info.time_base),
            snapped_ns=held.where.snapped_ns,
            stretch_ppb=held.stretch_ppb,
            frame_count=copied.frame_count,
            undecodable_frames=info.left_out,
            dropped_frames=copied.cut_frames,
            problem=info.flaw or copied.flaw,
        )
        self._index(held.writer, copied)
        self._chunks.append(entry)
        self._account.used(entry, is_ambiguous=_is_ambiguous(time))

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
        has_room = self._writer is not None and 0 < self._writer.frame_count < MOST_PART_FRAMES
        if self._writer is not None and has_room and is_near and clip_format == self._format:
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


@contextmanager
def _losing(chunk: ChunkObject) -> Iterator[None]:
    """Raise LostOnTheWay where the chunk that is being read can't be had any more."""
    try:
        yield
    except LOSSES as error:
        raise LostOnTheWay({chunk.name: Loss.of(error)}) from error
    except FileNotFoundError as error:  # a file that is read where it lies
        raise LostOnTheWay({chunk.name: Loss.of(NotFound(str(error)))}) from error


def _entry(chunk: ChunkObject, time: ChunkTime | None, sha256: str) -> ReelChunk:
    return ReelChunk(chunk.name, chunk.uri, chunk.etag, chunk.size_bytes, sha256, time)


def _recorded(copy: ClipCopy, moment: Instant, snap_ns: int) -> Interval:
    """What a chunk covers, as seen by one that starts at `moment`: up to the pause that `moment` lies in, or to the end.

    One broken time stamp can make a chunk reach far beyond its end; it must not shut out the chunks that follow.
    """
    for pause in copy.pauses:
        if pause.start + -snap_ns <= moment < pause.end:
            return Interval(copy.span.start, pause.start)
    return copy.span


def _is_ambiguous(time: ChunkTime) -> bool:
    return time.source is TimeSource.FILE_NAME and time.uncertainty_ns == AMBIGUITY_NS
