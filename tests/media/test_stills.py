"""A frame of a file is the same by its number as by its time, whatever the file's format says of times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.media.clips import Clip, make_clip, number_in
from throughline.domain.errors import InvalidInput
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


@pytest.mark.parametrize("size", [0, 5, 0x21000000, 0x7FFFFFF0])
def test_of_a_file_that_lies_about_a_frame_comes_what_decodes(tmp_path: Path, size: int) -> None:
    path = make_clip(tmp_path / "clip.mp4", Clip(range(COUNT), time_base=Fraction(1, 15)))
    content = bytearray(path.read_bytes())
    thirtieth = content.index(b"stsz") + 4 + 12 + 4 * 30
    content[thirtieth : thirtieth + 4] = size.to_bytes(4, "big")
    path.write_bytes(content)
    found = [number for number, _ in frames_by_number(path, range(COUNT), threads=1)]
    assert 0 < len(found) < COUNT


@pytest.mark.parametrize("length", [0, 8, 700])
def test_what_gives_no_video_is_refused(tmp_path: Path, length: int) -> None:
    path = make_clip(tmp_path / "clip.mp4", Clip(range(COUNT), time_base=Fraction(1, 15)))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InvalidInput, match=r"clip\.mp4 cannot be used"):
        list(frames_by_number(path, [0]))
