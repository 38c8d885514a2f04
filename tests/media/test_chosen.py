"""Chosen frames are those that decoding everything gives, whatever is asked for, in whatever order; and few more are decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.media.clips import Clip, number_in, steady
from tests.media.reels import make_reel, open_reel
from throughline.domain.time import Instant, Interval
from throughline.media.chosen import ChosenFrames
from throughline.media.reader import ReelReader

START = Instant.parse("2026-03-01T10:00:00Z")
COUNT = 90
CLIPS = {
    "plain": Clip(steady(COUNT), gop=15),
    "B-frames": Clip(steady(COUNT), gop=15, b_frames=3),
    "open GOPs": Clip(steady(COUNT), gop=15, b_frames=3, open_gop=True),
    "one GOP": Clip(steady(COUNT), gop=1000),
}
ASKED = {
    "all": [range(COUNT)],
    "every third, in two goes": [range(0, 45, 3), range(45, COUNT, 3)],
    "looks, then what lies before one": [[0], [16, 31, 46], [20, 25, 30, 31], [47, 48, 89]],
    "backwards": [[80], [40], [40, 41], [0]],
}


@pytest.fixture(params=list(CLIPS.values()), ids=list(CLIPS))
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> ReelReader:
    return open_reel(tmp_path, make_reel(tmp_path, [[(request.param, START)]]))


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
def test_chosen_frames_are_those_of_decoding_everything(reader: ReelReader, asked: list[list[int]]) -> None:
    with reader:
        everything = {frame.time: frame.rgb() for frame in reader.frames()}
        coded = reader.coded_frames(reader.reel.parts[0].span)
        assert coded.times_ns.tolist() == [time.ns for time in everything]
        chosen = ChosenFrames(reader, coded)
        for rows in asked:
            found = list(chosen.read(rows))
            assert [frame.time.ns for frame in found] == coded.times_ns[list(rows)].tolist()
            assert [number_in(frame.rgb()) for frame in found] == list(rows)
            for frame in found:
                np.testing.assert_array_equal(frame.rgb(), everything[frame.time])


@pytest.mark.parametrize("rate", [1.0, 4.0, 10.0, 15.0])
def test_packets_tell_which_frames_a_rate_takes(reader: ReelReader, rate: float) -> None:
    window = Interval(START + 1_300_000_000, START + 4_100_000_000)
    with reader:
        coded = reader.coded_frames(window, rate)
        assert coded.times_ns[coded.wanted].tolist() == [frame.time.ns for frame in reader.frames(window, rate)]
