"""A frame of a file is the same by its number as by its time, whatever the file's format says of times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.media.clips import Clip, make_clip, number_in
from throughline.media.stills import frame_times, frames_by_number

COUNT = 60
ASKED = [0, 1, 2, 17, 30, 31, COUNT - 1]


@pytest.mark.parametrize("b_frames", [0, 3])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_frames_are_those_of_their_numbers(tmp_path: Path, suffix: str, codec: str, b_frames: int) -> None:
    clip = Clip(range(COUNT), time_base=Fraction(1, 15), codec=codec, b_frames=b_frames, gop=20)
    path = make_clip(tmp_path / f"clip.{suffix}", clip)
    times = frame_times(path)
    assert len(times) == COUNT
    for threads in (1, 3):
        found = list(frames_by_number(path, ASKED, threads))
        assert [number for number, _ in found] == ASKED
        assert [number_in(frame.rgb()) for _, frame in found] == ASKED
        assert [frame.time.ns for _, frame in found] == times[ASKED].tolist()


def test_numbers_that_a_file_does_not_have_are_passed_over(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi", Clip(range(COUNT), time_base=Fraction(1, 15), b_frames=3, gop=20))
    assert [number for number, _ in frames_by_number(clip, [5, COUNT + 5, -1])] == [5]
    assert list(frames_by_number(clip, [])) == []
