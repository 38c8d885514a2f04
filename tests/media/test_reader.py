from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.clips import Clip, number_in, numbered_picture, steady
from tests.media.reels import make_reel, open_reel
from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.footage import Reel
from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND, Instant, Interval, seconds_to_ns, ticks_to_ns
from throughline.media.reader import TICK, ReelReader

TEN = Instant.parse("2026-03-01T10:00:00Z")


def uneven(count: int, seed: int = 0) -> list[int]:
    """PTS at random distances of 1 to 300 ms."""
    choose = random.Random(seed)  # noqa: S311
    ticks = [0]
    while len(ticks) < count:
        ticks.append(ticks[-1] + choose.randint(90, 27_000))
    return ticks


CLIPS = {
    "steady": Clip(steady(60)),
    "B-frames": Clip(steady(60), b_frames=3, gop=17),
    "uneven": Clip(uneven(60), gop=7),
    "uneven with B-frames": Clip(uneven(60, 1), b_frames=3, gop=23),
    "HEVC": Clip(steady(60), codec="libx265", b_frames=2),
    "rotated": Clip(steady(60), rotation_degrees=90, b_frames=2),
    "milliseconds": Clip([31 * index for index in range(60)], time_base=Fraction(1, 1000)),
}


@pytest.fixture(scope="module", params=CLIPS, ids=list(CLIPS))
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ReelReader, list[tuple[Instant, int]]]]:
    """A reader and, by brute force, all that it should show: a clip, a second one after a gap, and a third in a part of its own."""
    folder = tmp_path_factory.mktemp("reel")
    clip = CLIPS[request.param]
    later = (TEN + 30 * NS_PER_SECOND, TEN + 7200 * NS_PER_SECOND)
    reel = make_reel(
        folder,
        [[(clip, TEN), (replace(clip, first_number=100), later[0])], [(replace(clip, first_number=200), later[1])]],
    )
    wanted = []
    for part in reel.parts:
        with av.open(str(folder / part.file)) as container:
            for frame in container.decode(video=0):
                pixels = np.rot90(frame.to_ndarray(format="rgb24"), -(part.rotation_degrees // 90))
                number = number_in(pixels.astype(np.uint8))
                wanted.append((part.epoch + ticks_to_ns(frame.pts or 0, TICK), number))
    with open_reel(folder, reel) as reader:
        yield reader, wanted


Opened = tuple[ReelReader, list[tuple[Instant, int]]]


def shown(reader: ReelReader, window: Interval | None = None, rate: float | None = None) -> list[tuple[Instant, int]]:
    return [(frame.time, number_in(frame.rgb())) for frame in reader.frames(window, rate)]


def test_reading_equals_decoding_everything(opened: Opened) -> None:
    reader, wanted = opened
    assert shown(reader) == wanted
    assert [number for _, number in wanted] == [*range(60), *range(100, 160), *range(200, 260)]


def test_any_window_equals_what_decoding_everything_has_in_it(opened: Opened) -> None:
    reader, wanted = opened
    choose = random.Random(1)  # noqa: S311
    moments = [time for time, _ in wanted]
    for _ in range(25):
        first, last = sorted(choose.choices(range(len(moments)), k=2))
        window = Interval(moments[first] + choose.choice((0, -1, 1)), moments[last] + choose.choice((2, 5_000_000)))
        assert shown(reader, window) == [(time, number) for time, number in wanted if time in window]


def test_a_choice_at_a_rate_does_not_depend_on_the_window(opened: Opened) -> None:
    reader, wanted = opened
    whole = shown(reader, rate=4)
    cuts = sorted(random.Random(2).sample([time for time, _ in wanted], 8))  # noqa: S311
    edges = [TEN, *cuts, reader.reel.parts[-1].span.end]
    pieces = [frame for start, end in pairwise(edges) for frame in shown(reader, Interval(start, end), 4)]
    assert pieces == whole


def test_at_a_rate_the_first_frame_at_or_after_each_slot_is_chosen(opened: Opened) -> None:
    reader, wanted = opened
    slot = NS_PER_SECOND // 4
    parts = {part.epoch for part in reader.reel.parts}
    expected = [
        (time, number)
        for (before, _), (time, number) in pairwise([(Instant(0), 0), *wanted])
        if time in parts or time.ns // slot > before.ns // slot
    ]
    assert shown(reader, rate=4) == expected


def test_the_frame_at_a_moment_is_the_last_one_before_it(opened: Opened) -> None:
    reader, wanted = opened
    spans = [frame.span for frame in reader.frames()]
    choose = random.Random(3)  # noqa: S311
    for index in choose.sample(range(len(wanted)), 40):  # not in order
        for moment in (spans[index].start, spans[index].end + -1):
            frame = reader.frame_at(moment)
            assert frame is not None
            assert (frame.time, number_in(frame.rgb())) == wanted[index]


def test_when_a_frame_is_shown_is_known_without_decoding(opened: Opened) -> None:
    reader, _ = opened
    for frame in reader.frames():
        for moment in (frame.span.start, frame.span.end + -1):
            assert reader.span_at(moment) == frame.span
    for outside in (TEN + -1, reader.reel.gaps[0].start, reader.reel.parts[0].span.end, reader.reel.parts[1].span.end):
        assert reader.span_at(outside) is None


def test_frames_last_to_the_next_but_not_into_a_gap(opened: Opened) -> None:
    reader, _ = opened
    frames = list(reader.frames())
    for before, after in pairwise(frames):
        assert before.span.end <= after.time
    assert frames[59].span.end == reader.reel.gaps[0].start
    assert frames[119].span.end == reader.reel.parts[0].span.end
    assert frames[-1].span.end == reader.reel.parts[1].span.end


def test_times_without_decoding_are_those_of_the_frames(opened: Opened) -> None:
    reader, wanted = opened
    assert reader.frame_times() == [time for time, _ in wanted]
    window = Interval(wanted[10][0], wanted[70][0])
    assert reader.frame_times(window) == [time for time, _ in wanted[10:70]]


def test_a_frame_of_a_chunk_is_found_by_number(opened: Opened) -> None:
    reader, wanted = opened
    assert reader.chunk_frame_time("1.mp4", 0) == wanted[60][0]
    assert reader.chunk_frame_time("1.mp4", 59) == wanted[119][0]
    with pytest.raises(InvalidInput, match=r"chunk 1\.mp4 of camera cam1 has frames 0 to 59 in the reel, not 60"):
        reader.chunk_frame_time("1.mp4", 60)
    with pytest.raises(NotFound, match=r"chunk 9\.mp4 is not in the reel"):
        reader.chunk_frame_time("9.mp4", 0)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reel]:
    folder = tmp_path_factory.mktemp("plain")
    return folder, make_reel(folder, [[(Clip(steady(60)), TEN), (Clip(steady(60)), TEN + 20 * NS_PER_SECOND)]])


def test_no_frame_is_shown_before_the_reel_in_its_gaps_and_after_it(plain: tuple[Path, Reel]) -> None:
    with open_reel(*plain) as reader:
        for seconds in (-1, 10, 19.9, 30, 1000):
            assert reader.frame_at(TEN + seconds_to_ns(seconds)) is None
        last = reader.frame_at(TEN + seconds_to_ns(3.95))
        assert last is not None
        assert number_in(last.rgb()) == 59
        assert list(reader.frames(Interval(TEN + 5 * NS_PER_SECOND, TEN + 19 * NS_PER_SECOND))) == []


def test_frames_in_order_are_found_without_seeking(plain: tuple[Path, Reel], monkeypatch: pytest.MonkeyPatch) -> None:
    seeks: list[int] = []
    with open_reel(*plain) as reader:
        seek = reader.span_at

        def counted(time: Instant) -> Interval | None:
            seeks.append(1)
            return seek(time)

        monkeypatch.setattr(reader, "span_at", counted)
        numbers = [number_in(frame.rgb()) for k in range(39) if (frame := reader.frame_at(TEN + k * 100_000_000))]
    assert numbers == [k * 100 * 15 // 1000 for k in range(39)]
    assert len(seeks) == 1


def test_several_iterators_read_side_by_side(plain: tuple[Path, Reel]) -> None:
    with open_reel(*plain, threads=0) as reader:
        together = zip(
            reader.frames(), reader.frames(Interval(TEN + NS_PER_SECOND, TEN + 4 * NS_PER_SECOND)), strict=False
        )
        assert [number_in(b.rgb()) - number_in(a.rgb()) for a, b in together] == [15] * 45


def test_pictures_are_upright_and_of_the_asked_size(tmp_path: Path) -> None:
    for degrees in (0, 90, 180, 270):
        folder = tmp_path / str(degrees)
        reel = make_reel(folder, [[(Clip(steady(5), rotation_degrees=degrees), TEN)]])
        with open_reel(folder, reel) as reader:
            frame = list(reader.frames())[3]
        assert frame.size == Size(192, 64)
        assert frame.rotation_degrees == degrees
        assert np.abs(frame.rgb().astype(int) - numbered_picture(3, Size(192, 64))).mean() < 12
        for size in (Size(96, 32), Size(384, 100), Size(51, 33)):
            small = frame.rgb(size)
            assert small.shape == (size.height, size.width, 3)
            assert small.flags["C_CONTIGUOUS"]
            assert number_in(small) == 3
        planes = frame.planes(Size(96, 32))
        assert (planes.y.shape, planes.u.shape, planes.v.shape) == ((32, 96), (16, 48), (16, 48))
        assert number_in(np.repeat(planes.y[..., None], 3, axis=2)) == 3


def test_a_damaged_packet_costs_frames_but_not_the_reading(tmp_path: Path) -> None:
    reel = make_reel(tmp_path, [[(Clip(steady(60), gop=15), TEN)]])
    path = tmp_path / reel.parts[0].file
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        victim = [packet for packet in container.demux(video=0) if packet.is_keyframe][2]
        assert victim.pos is not None
        data[victim.pos : victim.pos + victim.size] = bytes(victim.size)
    path.write_bytes(data)

    with open_reel(tmp_path, reel) as reader:
        numbers = [number_in(frame.rgb()) for frame in reader.frames()]
        assert len(reader.damaged) >= 1
    assert set(range(30)) | set(range(45, 60)) <= set(numbers)
