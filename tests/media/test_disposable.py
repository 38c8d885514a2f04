"""What is left out while decoding changes nothing in what is chosen, and is told apart from what is damaged."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.media.clips import Clip, number_in, steady
from tests.media.reels import make_reel, open_reel
from throughline.domain.footage import Reel
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, Instant, Interval, ticks_to_ns
from throughline.media import decoding
from throughline.media.chosen import ChosenFrames
from throughline.media.disposable import disposable_in
from throughline.media.frame import Picture
from throughline.media.reader import TICK, ReelReader

START = Instant.parse("2026-03-01T10:00:00Z")
COUNT, RATE = 90, 30
PYRAMID = "keyint=30:bframes=3:b-adapt=0:b-pyramid=2:scenecut=0"
CLIPS = {
    # What                   Clip                                                                   share of frames left out at 5/s
    "pyramid": (Clip(steady(COUNT, RATE), gop=COUNT, encoder=PYRAMID), 0.4),
    "open GOPs": (Clip(steady(COUNT, RATE), gop=COUNT, encoder=PYRAMID + ":open-gop=1"), 0.4),
    "many B-frames": (Clip(steady(COUNT, RATE), gop=COUNT, encoder="keyint=45:bframes=7:b-adapt=0:b-pyramid=0"), 0.65),
    "HEVC": (
        Clip(steady(COUNT, RATE), gop=COUNT, codec="libx265", encoder="log-level=none:keyint=30:bframes=3:b-adapt=0"),
        0.35,
    ),
    "HEVC in layers": (
        Clip(
            steady(COUNT, RATE),
            gop=COUNT,
            codec="libx265",
            encoder="log-level=none:keyint=32:bframes=3:b-adapt=0:b-pyramid=1:temporal-layers=3",
        ),
        0.35,
    ),
    "uneven": (
        Clip(
            [0, *np.cumsum(np.random.default_rng(0).integers(90, 9000, COUNT - 1)).tolist()], gop=COUNT, encoder=PYRAMID
        ),
        0.3,
    ),
    "without B-frames": (Clip(steady(COUNT, RATE), gop=COUNT, encoder="keyint=30:bframes=0:rc-lookahead=0"), 0.0),
    "interlaced": (Clip(steady(COUNT, RATE), gop=COUNT, encoder=PYRAMID + ":interlaced=1"), 0.0),
}

Whole = list[tuple[Instant, Picture]]


@pytest.fixture(scope="module", params=list(CLIPS.values()), ids=list(CLIPS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reel, Whole, float]:
    """A reel, all of its frames by brute force, and which share of them needn't be decoded."""
    folder = tmp_path_factory.mktemp("reel")
    clip, share = request.param
    reel = make_reel(folder, [[(clip, START)]])
    part = reel.parts[0]
    with av.open(str(folder / part.file)) as container:
        frames = [
            (frame.pts or 0, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
            for frame in container.decode(video=0)
        ]
    assert len(frames) == COUNT
    return folder, reel, [(part.epoch + ticks_to_ns(pts, TICK), pixels) for pts, pixels in frames], share


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each packet so far was decoded."""
    noted: list[bool] = []
    sort_out = decoding.decoded

    def counted(packets, *others):  # type: ignore[no-untyped-def]
        def passed() -> Iterator[Any]:
            for packet, needed in packets:
                noted.append(needed)
                yield packet, needed

        return sort_out(passed(), *others)

    monkeypatch.setattr("throughline.media.reader.decoded", counted)
    return noted


def on_grid(whole: Whole, rate: int) -> Whole:
    """The first frame at or after each instant k/rate."""
    slots = [time.ns * rate // NS_PER_SECOND for time, _ in whole]
    return [whole[0], *(after for (one, other), after in zip(pairwise(slots), whole[1:], strict=True) if other > one)]


def assert_same(reader: ReelReader, window: Interval, rate: int | None, expected: Whole) -> None:
    found = [(frame.time, frame.rgb()) for frame in reader.frames(window, rate)]
    assert [time for time, _ in found] == [time for time, _ in expected]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("threads", [1, 3])
def test_chosen_frames_are_bit_for_bit_those_of_decoding_everything(
    made: tuple[Path, Reel, Whole, float], threads: int
) -> None:
    folder, reel, whole, _ = made
    choose = random.Random(threads)  # noqa: S311
    with open_reel(folder, reel, threads) as reader:
        for rate in (None, 2, 5, 7, 10, 24):
            wanted = whole if rate is None else on_grid(whole, rate)
            assert_same(reader, reel.parts[0].span, rate, wanted)
            for _ in range(3):
                first, last = sorted(choose.sample(range(COUNT), 2))
                window = Interval(whole[first][0] + choose.choice((-1, 0)), whole[last][0])
                assert_same(reader, window, rate, [each for each in wanted if each[0] in window])
        assert reader.damaged == set()


def test_how_long_frames_last_does_not_depend_on_what_is_decoded(made: tuple[Path, Reel, Whole, float]) -> None:
    folder, reel, _, _ = made
    with open_reel(folder, reel) as reader:
        spans = {frame.time: frame.span for frame in reader.frames()}
        assert all(frame.span == spans[frame.time] for frame in reader.frames(rate=5))


def test_what_no_other_frame_needs_is_not_decoded(made: tuple[Path, Reel, Whole, float], sent: list[bool]) -> None:
    folder, reel, _, share = made
    with open_reel(folder, reel) as reader:
        list(reader.frames(rate=5))
    left_out = sent.count(False) / COUNT
    assert (left_out >= share) if share else (left_out == 0)


def damaged_clip(folder: Path, number: int) -> Reel:
    """A pyramid of B-frames in which the frame of a number, from which no other is decoded, does not decode."""
    reel = make_reel(
        folder, [[(CLIPS["pyramid"][0], START + NS_PER_MS)]]
    )  # so that no frame is rounded to before its instant
    path = folder / reel.parts[0].file
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        is_disposable = disposable_in(stream)
        packets = [packet for packet in container.demux(stream) if packet.size]
        victim = sorted(packets, key=lambda packet: packet.pts or 0)[number]
        assert is_disposable(victim)
        assert victim.pos is not None
        content[victim.pos + 5 : victim.pos + victim.size] = bytes([255]) * (victim.size - 5)
    path.write_bytes(content)
    return reel


@pytest.mark.parametrize("threads", [1, 2])
def test_the_next_frame_takes_the_place_of_one_that_does_not_decode(tmp_path: Path, threads: int) -> None:
    reel = damaged_clip(tmp_path, 35)
    span = reel.parts[0].span
    with open_reel(tmp_path, reel, threads) as reader:
        everything = {number_in(frame.rgb()): frame for frame in reader.frames()}
        assert 35 not in everything
        # At 6/s every fifth frame is wanted, and 36 follows 35: it is one that would have been left out.
        found = [number_in(frame.rgb()) for frame in reader.frames(rate=6)]
        assert found == [*range(0, 35, 5), 36, *range(40, COUNT, 5)]
        coded = reader.coded_frames(span, 6)
        chosen = ChosenFrames(reader, coded, 6)
        rows = np.flatnonzero(coded.wanted).tolist()
        assert [number_in(frame.rgb()) for frame in chosen.read(rows)] == found
        assert [number_in(frame.rgb()) for frame in chosen.read([30, 35, 40])] == [30, 36, 40]
        assert {(time - START) * RATE // NS_PER_SECOND for time in reader.damaged} == {35}, (
            "however often it was come across"
        )


def test_a_damaged_frame_that_nobody_wants_is_not_missed(tmp_path: Path) -> None:
    reel = damaged_clip(tmp_path, 37)
    with open_reel(tmp_path, reel) as reader:
        assert [number_in(frame.rgb()) for frame in reader.frames(rate=6)] == list(range(0, COUNT, 5))
        assert reader.damaged == set()


@pytest.mark.parametrize("number", [COUNT - 5, COUNT - 3])
def test_of_frames_lost_with_a_damaged_one_at_the_end_each_is_told(tmp_path: Path, number: int) -> None:
    reel = damaged_clip(tmp_path, number)
    with open_reel(tmp_path, reel, 8) as reader:
        shown = {number_in(frame.rgb()) for frame in reader.frames()}
        told = {(time - START) * RATE // NS_PER_SECOND for time in reader.damaged}
    assert number in told
    assert shown | told == set(range(COUNT))
