"""Files that are no good video, or good video of a rare kind: used, used in part or left out, and always by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from tests.faults.video import Odd, cut, encoded, sound_alone, with_damaged_first_keyframe, with_stated_duration
from tests.ingest.footage import DiskFootage, codes, seen
from throughline.domain.geometry import Size

NAME = "20260301_100000"
NEXT = Odd()
FORTY = Odd(pts=range(0, 40 * 6000, 6000))
MANY = Odd(pts=range(0, 150 * 6000, 6000))
HOUR = 3600 * 90_000


@dataclass(frozen=True)
class Case:
    """A file, how many frames of it are shown, and what is said of it."""

    make: Callable[[Path], bytes]
    frames: int
    codes: tuple[str, ...] = ()
    suffix: str = "mp4"


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


CASES = {
    "starts in the middle of a GOP": Case(lambda path: cut(path, FORTY, 5), 28, ("chunk_undecodable",)),
    "starts in the middle of a GOP, transport stream": Case(
        lambda path: cut(path, FORTY, 5), 28, ("chunk_undecodable",), "ts"
    ),
    "no keyframe at all": Case(lambda path: cut(path, FORTY, 1, 12), 0, ("chunk_no_keyframe",)),
    "no keyframe at all, Matroska": Case(lambda path: cut(path, FORTY, 1, 12), 0, ("chunk_no_keyframe",), "mkv"),
    "zero length": Case(lambda _: b"", 0, ("chunk_empty",)),
    "one byte": Case(lambda _: b"x", 0, ("chunk_not_video",)),
    "text": Case(lambda _: b"recorder out of disk space\n" * 99, 0, ("chunk_not_video",)),
    "a web page": Case(lambda _: b"<html><body>403 Forbidden</body></html>", 0, ("chunk_not_video",)),
    "sound alone": Case(sound_alone, 0, ("chunk_not_video",)),
    "truncated before its index": Case(lambda path: half(encoded(path, FORTY)), 0, ("chunk_truncated",)),
    "truncated in the middle": Case(lambda path: half(encoded(path, MANY)), -1, ("chunk_truncated",), "mkv"),
    "a codec that MP4 can't have": Case(
        lambda path: encoded(path, Odd(codec="ffv1", options={})), 0, ("chunk_codec_unsupported",), "mkv"
    ),
    "negative PTS": Case(lambda path: encoded(path, Odd(pts=range(-300_000, -180_000, 6000))), 20),
    "PTS near the end of 33 bits": Case(
        lambda path: encoded(path, Odd(pts=range(2**33 - 60_000, 2**33 + 60_000, 6000))), 20
    ),
    "PTS of 2^40": Case(
        lambda path: encoded(
            path,
            Odd(pts=range(2**40, 2**40 + 120_000, 6000)),
        ),
        20,
    ),
    "a jump of 30 hours": Case(
        lambda path: encoded(path, Odd(pts=[*range(0, 60_000, 6000), *range(30 * HOUR, 30 * HOUR + 60_000, 6000)])),
        10,
        ("chunk_truncated",),
        "mkv",
    ),
    "a duration of 49 days in its header": Case(lambda path: with_stated_duration(encoded(path, NEXT), 0xFFFFFFF0), 20),
    "variable rate": Case(lambda path: encoded(path, Odd(pts=[0, 90, 180, 9_000, 40_000, 40_001, 91_000])), 7),
    "one frame": Case(lambda path: encoded(path, Odd(pts=[0])), 1),
    "1000 frames a second": Case(lambda path: encoded(path, Odd(pts=range(0, 4500, 90))), 50),
    "two video streams": Case(lambda path: encoded(path, Odd(is_doubled=True)), 20),
    "1x1": Case(
        lambda path: encoded(path, Odd(size=Size(1, 1), pixels="yuvj444p", codec="mjpeg", options={})),
        0,
        ("chunk_size_unsupported",),
        "mkv",
    ),
    "8K": Case(lambda path: encoded(path, Odd(pts=[0], size=Size(7680, 4320))), 1),
    "odd sizes": Case(lambda path: encoded(path, Odd(size=Size(193, 65), pixels="yuv444p")), 20),
    "10 bit": Case(lambda path: encoded(path, Odd(pixels="yuv420p10le")), 20),
    "10 bit HEVC": Case(
        lambda path: encoded(
            path,
            Odd(
                codec="libx265",
                pixels="yuv420p10le",
                options={"preset": "ultrafast", "x265-params": "log-level=none:bframes=0"},
            ),
        ),
        20,
    ),
    "4:2:2": Case(lambda path: encoded(path, Odd(pixels="yuv422p")), 20),
    "full range": Case(lambda path: encoded(path, Odd(pixels="yuvj420p")), 20),
    "grey": Case(lambda path: encoded(path, Odd(pixels="gray")), 20),
    "VP9": Case(
        lambda path: encoded(
            path, Odd(codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"})
        ),
        20,
        suffix="webm",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_odd_file_is_taken_for_what_it_is_and_the_rest_goes_on(footage: DiskFootage, name: str) -> None:
    case = CASES[name]
    footage.put(f"cam1/{NAME}.{case.suffix}", case.make(footage.folder / "made" / f"odd.{case.suffix}"))
    footage.put("cam1/20260301_110000.mp4", encoded(footage.folder / "made" / "good.mp4", NEXT))

    made = footage.collate("cam1")

    times = [time for time, _ in seen(made)]
    odd = [time for time in times if time < "11:00:00"]
    assert len(times) - len(odd) == 20
    if case.frames < 0:
        assert 0 < len(odd) < len(MANY.pts)
    else:
        assert len(odd) == case.frames
    assert tuple(codes(made)) == case.codes
    for incident in made.reel.incidents:
        assert NAME in incident.message
    if case.frames:
        assert all(shown == index for index, (_, shown) in enumerate(seen(made)[: len(odd)])) or name.startswith(
            ("starts", "odd", "8K")
        )


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_frames_before_the_first_keyframe_do_not_shift_those_after_it(footage: DiskFootage, suffix: str) -> None:
    footage.put(f"cam1/{NAME}.{suffix}", cut(footage.folder / "made" / f"odd.{suffix}", FORTY, 5))
    shown = seen(footage.collate("cam1"))
    assert shown[0] == ("10:00:00.466" if suffix == "mp4" else shown[0][0], 12), "7 frames of 1/15 s after the first"
    assert abs(int(shown[0][0][-3:]) - 467) <= 1


def test_a_damaged_first_keyframe_costs_its_group_and_no_more(footage: DiskFootage) -> None:
    path = footage.folder / "made" / "odd.mp4"
    encoded(path, FORTY)
    footage.put(f"cam1/{NAME}.mp4", with_damaged_first_keyframe(path))
    made = footage.collate("cam1")
    numbers = [number for _, number in seen(made)]
    assert [number for number in numbers if number >= 12] == list(range(12, 40)), numbers


def test_a_pixel_aspect_that_nothing_has_is_taken_for_square(footage: DiskFootage) -> None:
    odd = Odd(pixel_aspect=Fraction(100, 1))
    footage.put(f"cam1/{NAME}.mp4", encoded(footage.folder / "made" / "odd.mp4", odd))
    assert footage.collate("cam1").reel.parts[0].size == odd.size
