"""Random layouts of chunks: nothing of them is lost, shown twice or out of order."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.footage import DiskFootage, reader
from tests.media.clips import Clip, make_clip, steady
from throughline.domain.footage import Reel
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, Instant
from throughline.ingest.collate import CollatedReel
from throughline.ingest.settings import IngestSettings
from throughline.storage.gops import GOPS_FILE, read_gops

TEN = Instant.parse("2026-03-01T10:00:00Z")
RATE = 15
FRAME_NS = NS_PER_SECOND // RATE
SNAP_NS = 750 * NS_PER_MS
KINDS = {
    "plain": ("mp4", Clip([], gop=10)),
    "B-frames": ("mp4", Clip([], gop=10, b_frames=2)),
    "HEVC": ("mp4", Clip([], gop=10, codec="libx265")),
    "transport stream": ("ts", Clip([], gop=10, b_frames=2, crf=1)),
    "Matroska": ("mkv", Clip([], gop=10, b_frames=2, open_gop=True)),
    "AVI": ("avi", Clip([], gop=10, b_frames=2, time_base=Fraction(1, RATE))),
}


@dataclass(frozen=True)
class Piece:
    """A chunk: how long after the end of the one before it says that it starts, what it holds, and how it is made."""

    off_ms: int
    frames: int
    kind: str


jitter = st.integers(-740, 740)
pieces = st.lists(
    st.builds(
        Piece,
        off_ms=st.one_of(jitter, jitter, st.integers(-2_000, 20_000), st.just(2 * 3600 * 1000)),
        frames=st.sampled_from([1, 7, 30, 45]),
        kind=st.sampled_from(list(KINDS)),
    ),
    min_size=1,
    max_size=7,
)


@cache
def content(kind: str, frames: int) -> bytes:
    suffix, clip = KINDS[kind]
    times = list(range(frames)) if suffix == "avi" else steady(frames, RATE)
    with tempfile.TemporaryDirectory() as folder:
        return make_clip(Path(folder) / f"clip.{suffix}", replace(clip, times=times)).read_bytes()


def laid_out(layout: Sequence[Piece], folder: Path) -> CollatedReel:
    footage = DiskFootage(
        IngestSettings(
            workspace_uri=f"file://{folder}/workspace/", cache_dir=folder / "cache", allowed_roots=(folder,)
        ),
        folder,
    )
    start = TEN
    for piece in layout:
        start += piece.off_ms * NS_PER_MS
        stamp = f"{start.to_datetime():%Y-%m-%dT%H-%M-%S}.{start.ns // NS_PER_MS % 1000:03d}Z"
        footage.put(f"cam1/{stamp}.{KINDS[piece.kind][0]}", content(piece.kind, piece.frames))
        start += piece.frames * FRAME_NS
    return footage.collate("cam1")


def in_order(reel: Reel) -> list[tuple[int, int]]:
    used = sorted((chunk.span.start.ns, chunk.span.end.ns) for chunk in reel.chunks if chunk.span)
    for (_, end), (start, _) in pairwise(used):
        assert end <= start
    return used


@settings(max_examples=40)
@given(pieces)
def test_no_instant_is_lost_or_shown_twice_or_out_of_order(layout: Sequence[Piece]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = laid_out(layout, Path(folder))
        reel = made.reel
        assert reel.span is not None

        # Chunks and gaps take turns and fill the reel from its start to its end, exact to the nanosecond.
        used = in_order(reel)
        gaps = [(gap.start.ns, gap.end.ns) for gap in reel.gaps]
        filled = sorted([*used, *gaps])
        assert all(end == start for (_, end), (start, _) in pairwise(filled))
        assert (filled[0][0], filled[-1][1]) == (reel.span.start.ns, reel.span.end.ns)
        assert sum(end - start for start, end in filled) == reel.span.duration_ns

        # So do the groups of pictures, each within its chunk.
        rows = read_gops(made.artifact.path(GOPS_FILE))
        shown = list(zip(rows.starts_ns.tolist(), rows.ends_ns.tolist(), strict=True))
        assert all(end == start for (_, end), (start, _) in pairwise(sorted([*shown, *gaps])))
        for row, index in enumerate(rows.chunks.tolist()):
            span = reel.chunks[index].span
            assert span is not None
            assert span.start.ns <= shown[row][0] < shown[row][1] <= span.end.ns

        # Every frame of every chunk is there, but for those that its account says were cut off.
        with reader(made) as frames:
            read = list(frames.frames())
        assert all(before.span.end <= after.time for before, after in pairwise(read))
        assert sum(rows.frame_counts.tolist()) == len(read) == sum(part.frame_count for part in reel.parts)
        for chunk in reel.chunks:
            if chunk.span is None:
                assert "covers the same time" in chunk.problem
                continue
            held = [frame for frame in read if frame.time in chunk.span]
            assert len(held) == chunk.frame_count
            assert chunk.frame_count + chunk.dropped_frames in (1, 7, 30, 45)
            if chunk.dropped_frames == 0:
                lasts_ns = sum(frame.duration_ns for frame in held)
                assert lasts_ns == chunk.span.duration_ns

        # And no chunk lies further from where it says than the jitter that is allowed.
        for chunk in reel.chunks:
            if chunk.span is not None and chunk.time is not None:
                assert abs(chunk.span.start - chunk.time.start) < SNAP_NS
