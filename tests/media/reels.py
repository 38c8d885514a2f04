"""Reels made of generated clips, without the ingest service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.media.clips import Clip, make_clip
from throughline.domain.footage import Reel, ReelChunk, ReelPart
from throughline.domain.time import Instant, Interval
from throughline.media.probe import ClipScan
from throughline.media.reader import ReelReader
from throughline.media.remux import ClipCopy, PartWriter


def make_reel(folder: Path, parts: Sequence[Sequence[tuple[Clip, Instant]]]) -> Reel:
    """Write a reel's parts into `folder`, each of clips that start at the given moments."""
    reel_parts: list[ReelPart] = []
    chunks: list[ReelChunk] = []
    gaps: list[Interval] = []
    for number, clips in enumerate(parts):
        file = f"part-{number:03d}.mp4"
        writer = PartWriter(folder / file, clips[0][1])
        for clip, start in clips:
            source = make_clip(folder / "originals" / f"{len(chunks)}.mp4", clip)
            with ClipScan(source) as scan:
                copy = ClipCopy(writer, scan, start)
                copy.run()
                span = copy.finish().span
            if chunks and chunks[-1].span is not None and chunks[-1].span.end < start:
                gaps.append(Interval(chunks[-1].span.end, start))
            chunks.append(ReelChunk(source.name, f"file://{source}", "", 0, part=number, span=span))
        writer.close()
        whole = Interval(clips[0][1], span.end)
        form = scan.format
        reel_parts.append(
            ReelPart(file, whole.start, whole, form.codec, form.upright, form.rotation_degrees, writer.frame_count)
        )
    return Reel("cam1", tuple(reel_parts), tuple(chunks), tuple(gaps))


def open_reel(folder: Path, reel: Reel, threads: int = 1) -> ReelReader:
    return ReelReader(reel, lambda file: folder / file, threads)
