"""Chunks whose names and contents do not agree, and every way in which a camera may say when it recorded."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.ingest.footage import DiskFootage, Footage, codes, seen
from tests.media.clips import Clip, make_clip, steady
from throughline.domain.footage import TimeSource
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, Instant, Interval
from throughline.ingest.collate import CollatedReel
from throughline.ingest.placement import Place, place, spread

TEN = Instant.parse("2026-03-01T10:00:00Z")
SNAP_NS = 750 * NS_PER_MS
CLIP = Clip(steady(30), gop=15)


@pytest.mark.parametrize("lasts_ms", [59_900, 60_100, 59_997, 60_003, 59_860], ids=lambda ms: f"{ms} ms")
def test_a_day_of_chunks_that_are_named_every_minute_has_no_gap_and_no_cut(lasts_ms: int) -> None:
    previous: Interval | None = None
    furthest_ns = 0
    for minute in range(1440):
        stated = TEN + minute * 60 * NS_PER_SECOND
        where = place(previous, stated, lasts_ms * NS_PER_MS, SNAP_NS)
        assert where is not None
        assert previous is None or where.start == previous.end
        furthest_ns = max(furthest_ns, abs(where.start - stated))
        stretch = spread(where, stated + 60 * NS_PER_SECOND)
        assert abs(stretch) < 3_000_000  # three in a thousand
        lasts_ns = lasts_ms * NS_PER_MS
        previous = Interval(where.start, where.start + (lasts_ns + lasts_ns * stretch // NS_PER_SECOND))
    assert furthest_ns < 4.1 * abs(60_000 - lasts_ms) * NS_PER_MS


@pytest.mark.parametrize(
    ("snapped_ns", "following_ns", "expected"),
    [
        (0, 60 * NS_PER_SECOND, 0),
        (-100 * NS_PER_MS, 60 * NS_PER_SECOND, 416_666),  # a quarter of 0.1 s within a minute
        (100 * NS_PER_MS, 60 * NS_PER_SECOND, -416_667),
        (-700 * NS_PER_MS, NS_PER_SECOND, 20_000_000),  # not more than two in a hundred
        (-700 * NS_PER_MS, None, 0),  # nothing says how long it should last
        (-700 * NS_PER_MS, 0, 0),
    ],
)
def test_a_share_of_what_a_chunk_is_off_is_made_good_within_it(
    snapped_ns: int, following_ns: int | None, expected: int
) -> None:
    where = Place(TEN + snapped_ns, snapped_ns)
    assert spread(where, None if following_ns is None else TEN + following_ns) == expected


@pytest.mark.parametrize("every_ms", [2_000, 1_940], ids=["contents too short", "contents too long"])
def test_what_drifts_is_spread_over_the_frames_and_none_is_lost(footage: DiskFootage, every_ms: int) -> None:
    for index in range(24):
        start = TEN + index * every_ms * NS_PER_MS
        footage.clip(
            f"cam1/{start.to_datetime():%Y%m%d_%H%M%S}.{start.ns // NS_PER_MS % 1000:03d}.mp4",
            replace(CLIP, first_number=30 * index, b_frames=2 * (index % 2)),
        )

    made = footage.collate("cam1")

    assert [number for _, number in seen(made)] == list(range(720))
    assert (made.reel.gaps, codes(made)) == ((), [])
    for chunk in made.reel.chunks:
        assert chunk.time is not None
        assert chunk.span is not None
        assert abs(chunk.span.start - chunk.time.start) < SNAP_NS
    stretched = [chunk.stretch_ppb for chunk in made.reel.chunks]
    assert stretched[0] == stretched[-1] == 0
    assert all((each > 0) is (every_ms > 1_967) and abs(each) <= 20_000_000 for each in stretched[2:-1])


@pytest.mark.parametrize(
    ("off_ms", "gap_ms", "dropped"),
    [(740, 0, 0), (-740, 0, 0), (760, 760, 0), (5_000, 5_000, 0), (-760, 0, 11)],
)
def test_what_is_off_by_jitter_is_laid_end_to_end_and_more_is_kept_or_cut_exactly(
    footage: DiskFootage, off_ms: int, gap_ms: int, dropped: int
) -> None:
    whole = Clip([*range(0, 180_000, 6_000)], gop=15)  # 2 s, and the last frame is known to last as long as the others
    footage.clip("cam1/20260301_100000.000.ts", whole)
    start = TEN + (2_000 + off_ms) * NS_PER_MS
    footage.clip(f"cam1/{start.to_datetime():%Y%m%d_%H%M%S}.{start.ns // NS_PER_MS % 1000:03d}.ts", whole)

    first, second = footage.collate("cam1").reel.chunks

    assert first.span is not None
    assert second.span is not None
    assert (second.span.start - first.span.end) // NS_PER_MS == gap_ms
    assert first.dropped_frames == dropped


def stamps(made: CollatedReel) -> list[str]:
    return [str(chunk.time.start)[11:] for chunk in made.reel.chunks if chunk.time]


def test_clocks_that_are_put_forward_leave_no_gap(footage: DiskFootage) -> None:
    for index, name in enumerate(["20260329_015956", "20260329_015958", "20260329_030000", "20260329_030002"]):
        footage.clip(f"cam1/{name}.mp4", replace(CLIP, first_number=30 * index))

    made = footage.collate("cam1", "Europe/Berlin")

    assert stamps(made) == ["00:59:56.000Z", "00:59:58.000Z", "01:00:00.000Z", "01:00:02.000Z"]
    assert [number for _, number in seen(made)] == list(range(120))
    assert (made.reel.gaps, codes(made)) == ((), [])


def test_clocks_that_are_put_back_are_followed_where_names_state_their_zone(footage: DiskFootage) -> None:
    names = ["20261025_025958+0200", "20261025_020000+0100", "20261025_020002+0100"]
    for index, name in enumerate(names):
        footage.clip(f"cam1/{name}.mp4", replace(CLIP, first_number=30 * index))

    made = footage.collate("cam1", "Europe/Berlin")

    assert stamps(made) == ["00:59:58.000Z", "01:00:00.000Z", "01:00:02.000Z"]
    assert [number for _, number in seen(made)] == list(range(90))
    assert (made.reel.gaps, codes(made)) == ((), [])


def test_an_hour_that_comes_twice_is_told_where_names_do_not_say_which(footage: DiskFootage) -> None:
    footage.clip("cam1/20261025_015958.mp4", CLIP)
    footage.clip("cam1/20261025_020000.mp4", replace(CLIP, first_number=30))
    footage.clip("cam1/20261025_030000.mp4", replace(CLIP, first_number=60))

    made = footage.collate("cam1", "Europe/Berlin")

    assert stamps(made) == ["23:59:58.000Z", "00:00:00.000Z", "02:00:00.000Z"]
    assert codes(made) == ["chunk_time_ambiguous"]


def fragmented(clip: Path, out: Path, **options: str) -> Path:
    """A clip again, as fragmented MP4."""
    movflags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(str(clip)) as source, av.open(str(out), "w", format="mp4", options=movflags | options) as copy:
        target = copy.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = target
                copy.mux(packet)
    return out


def restated(data: bytes, moment: Instant) -> bytes:
    """A fragmented MP4 whose first producer reference time says that it was recorded at `moment`."""
    at = data.index(b"prft") + 12
    ticks = (moment.ns + 2_208_988_800 * NS_PER_SECOND) * 2**32 // NS_PER_SECOND
    return data[:at] + ticks.to_bytes(8, "big") + data[at + 8 :]


def test_the_producer_reference_time_of_a_fragmented_file_tells_where_its_name_does_not(any_footage: Footage) -> None:
    for number, name in enumerate(("b", "a")):
        clip = make_clip(any_footage.folder / f"{name}.mp4", replace(CLIP, first_number=30 * number, b_frames=2))
        data = fragmented(clip, any_footage.folder / f"{name}-f.mp4", write_prft="wallclock").read_bytes()
        any_footage.put(f"cam1/{name}.mp4", restated(data, TEN + 2 * number * NS_PER_SECOND))

    made = any_footage.collate("cam1")

    assert [chunk.time.source for chunk in made.reel.chunks if chunk.time] == [TimeSource.PRODUCER] * 2
    first = made.reel.chunks[0].time
    assert first is not None
    assert abs(first.start - TEN) < NS_PER_MS
    assert [number for _, number in seen(made)] == list(range(60))


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("container", ["ts", "mkv", "fragmented", "avi"])
def test_every_container_and_codec_is_copied_frame_by_frame(any_footage: Footage, codec: str, container: str) -> None:
    if (container, codec) == ("avi", "libx265"):
        pytest.skip("FFmpeg writes no HEVC to AVI")
    suffix = "mp4" if container == "fragmented" else container
    for index in range(2):
        clip = replace(CLIP, codec=codec, first_number=30 * index, b_frames=2)
        if container == "avi":
            clip = replace(clip, times=range(30), time_base=Fraction(1, 15))
        path = make_clip(any_footage.folder / f"{index}.{suffix}", clip)
        if container == "fragmented":
            path = fragmented(path, any_footage.folder / f"{index}-f.mp4")
        any_footage.put(f"cam1/2026-03-01T10-00-0{2 * index}Z.{suffix}", path.read_bytes())

    made = any_footage.collate("cam1")

    assert [number for _, number in seen(made)] == list(range(60))
    assert (len(made.reel.parts), codes(made), made.reel.gaps) == (1, [], ())
