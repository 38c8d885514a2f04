from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from tests.ingest.footage import DiskFootage, S3Footage
from tests.media.clips import Clip, steady
from throughline.domain.errors import CorruptArtifact
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.ingest.collate import CollatedReel
from throughline.media.clip import ClipPackets, open_clip
from throughline.storage.gops import GOPS_FILE, GopTable, read_gops

TEN = Instant.parse("2026-03-01T10:00:00Z")
CLIP = Clip(steady(30), gop=10)


def table(made: CollatedReel) -> GopTable:
    return read_gops(made.artifact.path(GOPS_FILE))


@pytest.mark.parametrize(
    ("suffix", "clip"),
    [
        pytest.param("mp4", replace(CLIP, b_frames=2, audio=True), id="MP4 with sound"),
        pytest.param("mkv", replace(CLIP, b_frames=2), id="Matroska"),
        pytest.param("ts", replace(CLIP, b_frames=2), id="transport stream"),
        pytest.param("avi", Clip(list(range(30)), time_base=Fraction(1, 15), gop=10, b_frames=2), id="AVI"),
    ],
)
def test_every_frame_of_a_reel_is_found_in_the_bytes_that_its_row_names(
    footage: DiskFootage, suffix: str, clip: Clip
) -> None:
    original = footage.clip(f"cam1/2026-03-01T10-00-00Z.{suffix}", clip)

    rows = table(footage.collate("cam1"))

    assert rows.frame_counts.tolist() == [10, 10, 10]
    assert rows.starts_ns[0] == TEN.ns
    assert rows.starts_ns[1:].tolist() == rows.ends_ns[:-1].tolist()
    data = original.read_bytes()
    with open_clip(original) as (container, stream):
        packets = [
            (packet.pos, packet.size, bytes(packet)) for packet, _ in ClipPackets(container, stream) if packet.size
        ]
    for row, (start, end) in enumerate(zip(rows.source_starts, rows.source_ends, strict=True)):
        held = data[start:end]
        if suffix != "ts":  # its packets lie in pieces of 188 bytes, each with a header
            assert all(content in held for _, _, content in packets[10 * row : 10 * row + 10])
        assert all(start <= (pos or 0) < end for pos, _, _ in packets[10 * row : 10 * row + 10])
    assert all(before <= after for before, after in pairwise(rows.source_starts))


def test_a_transport_stream_cut_to_the_bytes_of_a_row_still_gives_its_frames(
    footage: DiskFootage, tmp_path: Path
) -> None:
    original = footage.clip("cam1/2026-03-01T10-00-00Z.ts", replace(CLIP, b_frames=2))
    rows = table(footage.collate("cam1"))
    data = original.read_bytes()
    (tmp_path / "cut.ts").write_bytes(data[:564] + data[rows.source_starts[1] : rows.source_ends[1]])

    with av.open(str(tmp_path / "cut.ts")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 10


def test_rows_cover_what_the_reel_shows_and_its_gaps_nothing(footage: DiskFootage) -> None:
    paused = Clip(steady(10) + steady(10, start_ticks=900_000), gop=10)
    footage.clip("cam1/20260301_100000.mp4", paused)
    footage.put("cam1/20260301_100005.mp4", b"noise" * 100)
    footage.clip("cam1/20260301_100030.mp4", replace(CLIP, b_frames=2))
    footage.clip("cam1/20260301_100031.mp4", CLIP)  # cuts the one before

    made = footage.collate("cam1")
    rows = table(made)

    names = [made.reel.chunks[index].name for index in rows.chunks]
    assert [name[-10:-4] for name in names] == ["100000"] * 2 + ["100030"] * 2 + ["100031"] * 3
    assert rows.parts.tolist() == [0, 0, 1, 1, 2, 2, 2]
    shown = [(start, end) for start, end in zip(rows.starts_ns.tolist(), rows.ends_ns.tolist(), strict=True)]
    between = [(end, start) for (_, end), (start, _) in pairwise(shown) if end != start]
    assert between == [(gap.start.ns, gap.end.ns) for gap in made.reel.gaps]
    assert [chunk.frame_count for chunk in made.reel.chunks if chunk.span] == [
        sum(count for name, count in zip(names, rows.frame_counts.tolist(), strict=True) if name == chunk.name)
        for chunk in made.reel.chunks
        if chunk.span
    ]
    assert shown[3][1] == TEN.ns + 31 * NS_PER_SECOND


def test_a_chunk_in_a_bucket_with_versions_says_which_was_read(s3_footage: S3Footage) -> None:
    s3_footage.client.put_bucket_versioning(Bucket=s3_footage.bucket, VersioningConfiguration={"Status": "Enabled"})
    s3_footage.clip("cam1/20260301_100000.mp4", CLIP)

    chunk = s3_footage.collate("cam1").reel.chunks[0]

    key = "recordings/cam1/20260301_100000.mp4"
    assert chunk.version_id == s3_footage.client.head_object(Bucket=s3_footage.bucket, Key=key)["VersionId"]
    assert len(chunk.sha256) == 64


def test_a_file_that_is_no_table_of_gops_is_named(tmp_path: Path) -> None:
    (tmp_path / GOPS_FILE).write_bytes(b"not parquet")

    with pytest.raises(CorruptArtifact, match=r"gops\.parquet cannot be read"):
        read_gops(tmp_path / GOPS_FILE)
