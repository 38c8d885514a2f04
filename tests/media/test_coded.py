from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.media.clips import Clip, make_clip, steady
from throughline.domain.time import NS_PER_SECOND
from throughline.media.coded import (
    Bytes,
    Comparison,
    Incomparable,
    coded_units,
    compare,
    holds_pictures_whole,
)

CLIP = Clip(steady(30), gop=10)
SECOND = NS_PER_SECOND


def remuxed(source: Path, target: Path) -> Path:
    """The same packets in another file."""
    with av.open(str(source)) as origin, av.open(str(target), "w") as copy:
        stream = copy.add_stream_from_template(origin.streams.video[0], opaque=True)
        for packet in origin.demux(origin.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    return target


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_pictures_that_were_copied_are_found_in_their_source_and_in_no_other(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    film = make_clip(tmp_path / "film.mp4", replace(CLIP, codec=codec, b_frames=2))
    source = remuxed(film, tmp_path / f"source.{suffix}")
    other = make_clip(tmp_path / f"other.{suffix}", replace(CLIP, codec=codec, b_frames=2, first_number=500))

    assert compare(film, 0, 2 * SECOND, [Bytes(source)]) == Comparison(units=30, missing=0)
    assert compare(film, 0, 2 * SECOND, [Bytes(other)]).missing == 20, "the rest was not looked for"
    assert compare(film, 0, 2 * SECOND, [Bytes(other), Bytes(source)]).missing == 0


def test_pictures_of_a_stretch_are_those_that_are_shown_in_it(tmp_path: Path) -> None:
    film = make_clip(tmp_path / "film.mp4", replace(CLIP, b_frames=2))

    parts = [list(coded_units(film, at * SECOND // 3, (at + 1) * SECOND // 3)) for at in range(6)]

    assert [len(part) for part in parts] == [5] * 6
    assert {unit for part in parts for unit in part} == set(coded_units(film, 0, 2 * SECOND))


def test_pictures_out_of_order_and_beyond_the_stated_bytes_are_missing(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mp4", replace(CLIP, gop=10))
    film = remuxed(source, tmp_path / "film.mp4")
    with av.open(str(source)) as container:
        packets = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    first_end = packets[10][0]

    assert compare(film, 0, 2 * SECOND // 3, [Bytes(source, packets[0][0], first_end)]).missing == 0
    assert compare(film, 2 * SECOND // 3, 2 * SECOND, [Bytes(source, packets[0][0], first_end)]).missing > 0
    turned = [Bytes(source, first_end), Bytes(source, packets[0][0], first_end)]
    assert compare(film, 0, 2 * SECOND, turned).missing > 0


def test_what_holds_no_units_says_so(tmp_path: Path) -> None:
    film = make_clip(tmp_path / "film.mp4", Clip(list(range(30)), time_base=Fraction(1, 15), codec="mpeg4"))

    with pytest.raises(Incomparable, match="mpeg4"):
        compare(film, 0, SECOND, [Bytes(film)])


@pytest.mark.parametrize(("suffix", "whole"), [("mp4", True), ("mkv", True), ("avi", True), ("ts", False)])
def test_it_is_known_which_files_hold_their_pictures_in_one_piece(tmp_path: Path, suffix: str, whole: bool) -> None:
    clip = Clip(range(30), time_base=Fraction(1, 15), b_frames=2)
    assert holds_pictures_whole(make_clip(tmp_path / f"clip.{suffix}", clip)) is whole
