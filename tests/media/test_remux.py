from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.media.clips import Clip, make_clip, steady
from throughline.domain.errors import Cancelled
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.domain.work import Work
from throughline.media.probe import probe
from throughline.media.remux import PartWriter

TEN = Instant.parse("2026-03-01T10:00:00Z")


def times(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(p.pts, p.dts) for p in container.demux(video=0) if p.pts is not None and p.dts is not None]


def test_pts_and_dts_keep_their_distances(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", Clip(steady(40, start_ticks=123_456), b_frames=3))
    writer = PartWriter(tmp_path / "part.mp4", TEN)
    copied = writer.append(source, probe(source), TEN + 7 * NS_PER_SECOND)
    writer.close()

    move = 7 * 90_000 - times(source)[0][0]
    assert times(tmp_path / "part.mp4") == [(pts + move, dts + move) for pts, dts in times(source)]
    assert copied.span.start == TEN + 7 * NS_PER_SECOND
    assert (copied.frame_count, copied.cut_frames, copied.flaw) == (40, 0, "")


def test_a_copy_ends_before_its_limit(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", Clip(steady(40)))
    writer = PartWriter(tmp_path / "part.mp4", TEN)
    copied = writer.append(source, probe(source), TEN, until=TEN + NS_PER_SECOND)
    writer.close()

    assert [pts for pts, _ in times(tmp_path / "part.mp4")] == steady(15)
    assert (copied.span.end - TEN, copied.frame_count, copied.cut_frames) == (NS_PER_SECOND, 15, 25)


def test_a_dts_that_no_file_can_hold_is_brought_near(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mkv", Clip(steady(40)))
    info = probe(source)
    writer = PartWriter(tmp_path / "part.mp4", TEN)
    # Frame times 1000 times as far apart as they are: the DTS then lie days before what follows.
    writer.append(source, replace(info, time_base=Fraction(1, 1)), TEN)
    writer.close()

    got = times(tmp_path / "part.mp4")
    assert len(got) == 40
    assert all(dts <= pts for pts, dts in got)


def test_work_that_is_to_stop_stops_within_a_clip(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", Clip(steady(1200)))
    work = Work()
    work.cancel()
    writer = PartWriter(tmp_path / "part.mp4", TEN)
    with pytest.raises(Cancelled):
        writer.append(source, probe(source), TEN, check=work.check)
    writer.close()


def test_a_part_without_a_frame_leaves_no_file(tmp_path: Path) -> None:
    PartWriter(tmp_path / "part.mp4", TEN).close()

    assert not (tmp_path / "part.mp4").exists()
