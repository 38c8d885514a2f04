from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from tests.media.clips import Clip, make_clip, steady
from throughline.domain.errors import Cancelled
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.domain.work import Work
from throughline.media import remux
from throughline.media.probe import ClipScan
from throughline.media.remux import ClipCopy, Copied, PartWriter

TEN = Instant.parse("2026-03-01T10:00:00Z")


def times(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(p.pts, p.dts) for p in container.demux(video=0) if p.pts is not None and p.dts is not None]


def copied(
    source: Path,
    part: Path,
    start: Instant,
    *,
    hold_from: Instant | None = None,
    until: Instant | None = None,
    **how: Any,
) -> Copied:
    """Copy a clip into a part of its own."""
    writer = PartWriter(part, TEN)
    with closing(writer), ClipScan(source) as scan:
        copy = ClipCopy(writer, scan, start, **how)
        copy.run(hold_from)
        return copy.finish(until)


def test_pts_and_dts_keep_their_distances(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", Clip(steady(40, start_ticks=123_456), b_frames=3))
    found = copied(source, tmp_path / "part.mp4", TEN + 7 * NS_PER_SECOND)

    move = 7 * 90_000 - times(source)[0][0]
    assert times(tmp_path / "part.mp4") == [(pts + move, dts + move) for pts, dts in times(source)]
    assert found.span.start == TEN + 7 * NS_PER_SECOND
    assert (found.frame_count, found.cut_frames, found.flaw) == (40, 0, "")


def test_a_copy_ends_before_its_limit(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", Clip(steady(40)))
    second = TEN + NS_PER_SECOND
    found = copied(source, tmp_path / "part.mp4", TEN, hold_from=second, until=second)

    assert [pts for pts, _ in times(tmp_path / "part.mp4")] == steady(15)
    assert (found.span.end - TEN, found.frame_count, found.cut_frames) == (NS_PER_SECOND, 15, 25)


@pytest.mark.parametrize("until_seconds", [None, 1, 2])
@pytest.mark.parametrize("most_held_bytes", [0, 500, 10**6])
def test_a_clip_held_back_from_any_moment_is_the_same_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until_seconds: int | None, most_held_bytes: int
) -> None:
    source = make_clip(tmp_path / "clip.mp4", Clip(steady(40), b_frames=3))
    until = None if until_seconds is None else TEN + until_seconds * NS_PER_SECOND
    expected = copied(source, tmp_path / "expected.mp4", TEN, hold_from=TEN, until=until)

    monkeypatch.setattr(remux, "_MOST_HELD_BYTES", most_held_bytes)
    found = copied(source, tmp_path / "part.mp4", TEN, hold_from=TEN + NS_PER_SECOND, until=until)

    assert found == expected
    assert (tmp_path / "part.mp4").read_bytes() == (tmp_path / "expected.mp4").read_bytes()


def test_a_stretched_copy_keeps_its_start_and_its_frames(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", Clip(steady(40), b_frames=3))
    found = copied(source, tmp_path / "part.mp4", TEN, stretch_ppb=10_000_000)

    wanted = [round(1.01 * ticks) for ticks in steady(40)]
    assert sorted(pts for pts, _ in times(tmp_path / "part.mp4")) == pytest.approx(wanted, abs=1)
    assert found.frame_count == 40


def test_a_dts_that_no_file_can_hold_is_brought_near(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mkv", Clip(steady(40)))
    writer = PartWriter(tmp_path / "part.mp4", TEN)
    with closing(writer), ClipScan(source) as scan:
        scan.time_base = Fraction(
            1, 1
        )  # frame times 1000 times as far apart as they are: DTS then lie days before what follows
        copy = ClipCopy(writer, scan, TEN)
        copy.run()
        copy.finish()

    got = times(tmp_path / "part.mp4")
    assert len(got) == 40
    assert all(dts <= pts for pts, dts in got)


def test_work_that_is_to_stop_stops_within_a_clip(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", Clip(steady(1200)))
    work = Work()
    work.cancel()
    with pytest.raises(Cancelled):
        copied(source, tmp_path / "part.mp4", TEN, check=work.check)


def test_a_part_without_a_frame_leaves_no_file(tmp_path: Path) -> None:
    PartWriter(tmp_path / "part.mp4", TEN).close()

    assert not (tmp_path / "part.mp4").exists()
