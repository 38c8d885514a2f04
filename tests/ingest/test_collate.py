from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from tests.ingest.footage import DiskFootage, Footage, S3Footage, codes, reader, seen
from tests.media.clips import Clip, steady
from throughline.domain.errors import Cancelled, InvalidInput, NotFound
from throughline.domain.footage import TimeSource
from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND, Instant, Interval
from throughline.domain.work import Step, Work
from throughline.ingest import reel_builder
from throughline.ingest.collate import CollateRequest
from throughline.ingest.listing import list_footage
from throughline.media.clip import ClipPackets, open_clip

TEN = Instant.parse("2026-03-01T10:00:00Z")
CLIP = Clip(steady(30))  # 2 s at 15 frames/s


def at(clip: Clip, number: int) -> Clip:
    return replace(clip, first_number=number)


def packets(path: Path) -> list[bytes]:
    with open_clip(path) as (container, stream):
        return [bytes(packet) for packet, _ in ClipPackets(container, stream)]


def test_chunks_end_to_end_become_one_part_with_identical_packets(any_footage: Footage) -> None:
    first = any_footage.clip("cam1/2026-03-01T10-00-00Z.mp4", CLIP)
    second = any_footage.clip("cam1/2026-03-01T10-00-02Z.mp4", at(CLIP, 30))

    made = any_footage.collate("cam1")

    assert [part.file for part in made.reel.parts] == ["part-000.mp4"]
    assert packets(made.artifact.path("part-000.mp4")) == packets(first) + packets(second)
    assert made.reel.gaps == ()
    assert made.reel.incidents == ()
    assert made.reel.span is not None
    assert made.reel.span.start == TEN
    assert [number for _, number in seen(made)] == list(range(60))
    assert seen(made)[30][0] == "10:00:01.966"  # where the first chunk ends: its last frame lasts 33 ms
    assert [chunk.snapped_ns for chunk in made.reel.chunks] == [0, -33_333_333]  # ns


def test_the_second_call_finds_the_reel_ready(any_footage: Footage) -> None:
    any_footage.clip("cam1/2026-03-01T10-00-00Z.mp4", CLIP)

    made, again = any_footage.collate("cam1"), any_footage.collate("cam1")

    assert (made.was_reused, again.was_reused) == (False, True)
    assert again.artifact.uri == made.artifact.uri
    assert again.reel == made.reel


def test_a_part_has_camera_time_less_its_epoch_as_pts_in_ticks_of_1_90000(footage: DiskFootage) -> None:
    footage.clip("cam1/2026-03-01T10-00-00Z.mp4", replace(CLIP, times=[7_000 + t for t in CLIP.times], b_frames=2))
    footage.clip("cam1/2026-03-01T10-00-10Z.mp4", replace(CLIP, first_number=30, b_frames=2))

    made = footage.collate("cam1")

    with av.open(str(made.artifact.path("part-000.mp4"))) as container:
        stream = container.streams.video[0]
        pts = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        assert stream.time_base == Fraction(1, 90_000)
    assert pts == [*steady(30), *(900_000 + t for t in steady(30))]
    assert made.reel.parts[0].epoch == TEN
    assert [(gap.start - TEN, gap.end - TEN) for gap in made.reel.gaps] == [(2_000_000_000, 10_000_000_000)]


@pytest.mark.parametrize(
    ("suffix", "clip"),
    [
        pytest.param("mp4", replace(CLIP, b_frames=3), id="B-frames"),
        pytest.param("mp4", replace(CLIP, audio=True), id="audio"),
        pytest.param("mp4", Clip([0, 1500, 9000, 9100, 40_000, 90_000, 90_010, 130_000], gop=3), id="variable rate"),
        pytest.param("mp4", replace(CLIP, times=steady(30, start_ticks=8_123_456), b_frames=2), id="non-zero start"),
        pytest.param("mp4", replace(CLIP, codec="libx265", b_frames=2), id="HEVC"),
        pytest.param("mkv", replace(CLIP, b_frames=2), id="Matroska"),
        pytest.param("ts", replace(CLIP, b_frames=2), id="transport stream"),
        pytest.param("avi", Clip(list(range(30)), time_base=Fraction(1, 15)), id="AVI"),
        pytest.param("mp4", Clip(list(range(0, 900, 31)), time_base=Fraction(1, 1000)), id="milliseconds"),
    ],
)
def test_every_frame_keeps_its_distance_from_the_first(footage: DiskFootage, suffix: str, clip: Clip) -> None:
    original = footage.clip(f"cam1/2026-03-01T10-00-00.500Z.{suffix}", clip)

    made = footage.collate("cam1")

    with av.open(str(original)) as container:
        times = [(frame.pts or 0) * (frame.time_base or Fraction(1)) for frame in container.decode(video=0)]
    wanted = [round((time - times[0]) * NS_PER_SECOND) for time in times]
    with reader(made) as frames:
        got = [frame.time - TEN - 500_000_000 for frame in frames.frames()]
    assert got == pytest.approx(wanted, abs=5_556)  # half a tick
    assert [number for _, number in seen(made)] == list(range(len(clip.times)))
    with av.open(str(made.artifact.path("part-000.mp4"))) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        dts = [packet.dts for packet in container.demux() if packet.dts is not None]
    assert all(before < after for before, after in pairwise(dts))


def test_a_gap_of_ten_hours_stays_one(footage: DiskFootage) -> None:
    footage.clip("cam1/2026-03-01T10-00-00Z.mp4", CLIP)
    footage.clip("cam1/2026-03-01T20-00-00Z.mp4", at(CLIP, 30))

    made = footage.collate("cam1")

    assert [part.epoch - TEN for part in made.reel.parts] == [0, 36_000 * NS_PER_SECOND]
    assert [gap.duration_ns for gap in made.reel.gaps] == [36_000 * NS_PER_SECOND - 1_966_666_667]
    assert seen(made)[30] == ("20:00:00.000", 30)


def test_a_gap_of_up_to_an_hour_stays_within_a_part(footage: DiskFootage) -> None:
    footage.clip("cam1/2026-03-01T10-00-00Z.mp4", replace(CLIP, b_frames=2))
    footage.clip("cam1/2026-03-01T11-00-00Z.mp4", replace(at(CLIP, 30), b_frames=2))

    made = footage.collate("cam1")

    assert len(made.reel.parts) == 1
    assert seen(made)[30] == ("11:00:00.000", 30)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(CLIP, size=Size(240, 96)), id="size"),
        pytest.param(replace(CLIP, rotation_degrees=90), id="rotation"),
        pytest.param(replace(CLIP, codec="libx265"), id="codec"),
        pytest.param(replace(CLIP, b_frames=2, codec="libx265"), id="codec with B-frames"),
        pytest.param(replace(CLIP, b_frames=2), id="parameter sets"),
    ],
)
def test_a_change_of_format_starts_a_new_part_and_reads_on(footage: DiskFootage, other: Clip) -> None:
    footage.clip("cam1/2026-03-01T10-00-00Z.mp4", CLIP)
    footage.clip("cam1/2026-03-01T10-00-02Z.mp4", at(other, 30))

    made = footage.collate("cam1")

    assert len(made.reel.parts) == 2
    assert made.reel.parts[0].span.end == made.reel.parts[1].span.start
    assert [number for _, number in seen(made)] == list(range(60))
    assert made.reel.parts[1].size == other.size
    assert made.reel.parts[1].rotation_degrees == other.rotation_degrees
    with reader(made) as frames:
        assert list(frames.frames())[-1].rgb().shape == (other.size.height, other.size.width, 3)


def test_a_part_does_not_grow_for_ever(footage: DiskFootage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reel_builder, "MOST_PART_FRAMES", 60)
    for index in range(5):
        footage.clip(f"cam1/20260301_10000{2 * index}.mp4", at(CLIP, 30 * index))

    made = footage.collate("cam1")

    assert [part.frame_count for part in made.reel.parts] == [60, 60, 30]
    assert made.reel.gaps == ()
    assert [number for _, number in seen(made)] == list(range(150))


def test_chunks_out_of_order_are_sorted_by_time(footage: DiskFootage) -> None:
    footage.clip("cam1/a_20260301_100002.mp4", at(CLIP, 30))
    footage.clip("cam1/b_20260301_100000.mp4", CLIP)

    made = footage.collate("cam1")

    assert [chunk.name for chunk in made.reel.chunks] == ["b_20260301_100000.mp4", "a_20260301_100002.mp4"]
    assert [number for _, number in seen(made)] == list(range(60))


def test_of_two_chunks_with_the_same_time_the_first_by_name_is_kept(footage: DiskFootage) -> None:
    footage.clip("cam1/20260301_100000_a.mp4", CLIP)
    footage.clip("cam1/20260301_100000_b.mp4", Clip(steady(60), first_number=100))

    made = footage.collate("cam1")

    assert [number for _, number in seen(made)] == list(range(30))
    assert codes(made) == ["chunk_covered"]
    assert "20260301_100000_b.mp4 is left out" in made.reel.incidents[0].message
    assert made.reel.chunks[0].problem == "20260301_100000_a.mp4 covers the same time"


def test_where_chunks_overlap_the_earlier_one_ends_and_no_instant_comes_twice(footage: DiskFootage) -> None:
    footage.clip("cam1/20260301_100000.mp4", Clip(steady(60)))
    footage.clip("cam1/20260301_100003.mp4", Clip(steady(60), first_number=100))

    made = footage.collate("cam1")

    assert seen(made)[44:46] == [("10:00:02.933", 44), ("10:00:03.000", 100)]
    assert len(seen(made)) == 45 + 60
    assert [chunk.dropped_frames for chunk in made.reel.chunks] == [15, 0]
    assert codes(made) == ["chunk_overlap"]


def test_a_chunk_within_another_is_left_out(footage: DiskFootage) -> None:
    footage.clip("cam1/20260301_100000.mp4", Clip(steady(90)))
    footage.clip("cam1/20260301_100002.mp4", Clip(steady(30), first_number=100))

    made = footage.collate("cam1")

    assert [number for _, number in seen(made)] == list(range(90))
    assert codes(made) == ["chunk_covered"]


def test_broken_chunks_are_named_and_the_rest_goes_on(any_footage: Footage) -> None:
    whole = any_footage.clip("cam1/20260301_100000.mp4", CLIP).read_bytes()
    any_footage.put("cam1/20260301_100002.mp4", b"")
    any_footage.put("cam1/20260301_100004.mp4", b"this is no video\n" * 50)
    any_footage.put("cam1/20260301_100006.mp4", whole[: len(whole) // 2])
    any_footage.clip("cam1/20260301_100008.mp4", at(CLIP, 30))

    made = any_footage.collate("cam1")

    assert [number for _, number in seen(made)] == list(range(60))
    assert codes(made) == ["chunk_empty", "chunk_not_video", "chunk_truncated"]
    assert made.reel.incidents[0].message == (
        "chunk cam1/20260301_100002.mp4 is left out of the reel: it has no bytes. To use it, upload it again"
    )
    problems = {chunk.name: chunk.problem for chunk in made.reel.chunks if chunk.span is None}
    assert set(problems) == {f"20260301_10000{second}.mp4" for second in (2, 4, 6)}


def test_a_truncated_chunk_that_can_be_read_keeps_what_is_whole(footage: DiskFootage) -> None:
    clip = footage.clip("other/20260301_100000.ts", Clip(steady(60)))
    with (
        av.open(str(clip)) as source,
        av.open(str(footage.folder / "index-first.mp4"), "w", options={"movflags": "faststart"}) as copy,
    ):
        target = copy.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = target
                copy.mux(packet)
    data = (footage.folder / "index-first.mp4").read_bytes()
    footage.put("cam1/20260301_100000.mp4", data[: len(data) * 2 // 3])

    made = footage.collate("cam1")

    numbers = [number for _, number in seen(made)]
    assert 5 < len(numbers) < 60
    assert numbers == list(range(len(numbers)))
    assert codes(made) == ["chunk_truncated"]
    assert f"used in part, {len(numbers)} frames: it breaks off" in made.reel.incidents[0].message


def test_a_camera_without_one_usable_chunk_has_a_reel_without_parts(footage: DiskFootage) -> None:
    footage.put("cam1/20260301_100000.mp4", b"")
    footage.put("cam1/noise.mp4", b"noise" * 100)

    made = footage.collate("cam1")

    assert made.reel.parts == ()
    assert made.reel.span is None
    assert codes(made) == ["chunk_empty", "chunk_not_video"]


def test_pauses_within_a_chunk_are_gaps(footage: DiskFootage) -> None:
    footage.clip("cam1/20260301_100000.mp4", Clip(steady(15) + steady(15, start_ticks=900_000), b_frames=2))

    made = footage.collate("cam1")

    assert [(gap.start - TEN, gap.end - TEN) for gap in made.reel.gaps] == [(1_000_000_000, 10_000_000_000)]
    with reader(made) as frames:
        assert list(frames.frames())[14].duration_ns == pytest.approx(66_666_667, abs=2)
        assert frames.frame_at(TEN + 5 * NS_PER_SECOND) is None


def test_a_chunk_that_falls_into_a_pause_of_the_one_before_is_kept(footage: DiskFootage) -> None:
    footage.clip("cam1/20260301_100000.mp4", Clip(steady(30) + steady(15, start_ticks=90_000 * 1800)))
    footage.clip("cam1/20260301_100002.mp4", Clip(steady(30), first_number=100))
    footage.clip("cam1/20260301_100004.mp4", Clip(steady(30), first_number=200))

    made = footage.collate("cam1")

    assert [number for _, number in seen(made)] == [*range(30), *range(100, 130), *range(200, 230)]
    assert [chunk.dropped_frames for chunk in made.reel.chunks] == [15, 0, 0]


def test_where_chunks_with_b_frames_overlap_only_frames_at_the_cut_are_lost(footage: DiskFootage) -> None:
    footage.clip("cam1/20260301_100000.mp4", Clip(steady(60), b_frames=3))
    footage.clip("cam1/20260301_100003.mp4", Clip(steady(60), b_frames=3, first_number=100))

    made = footage.collate("cam1")

    numbers = [number for _, number in seen(made)]
    kept = numbers.index(100)
    assert numbers == [*range(kept), *range(100, 160)]
    assert 41 <= kept <= 45
    assert made.reel.chunks[0].dropped_frames == 60 - kept
    with reader(made) as frames:
        times = frames.frame_times()
    assert all(before < after for before, after in pairwise(times))


def test_two_frames_with_one_time_are_moved_apart(footage: DiskFootage) -> None:
    source = footage.clip("original/20260301_100000.mp4", CLIP)
    doubled = footage.folder / "doubled.mkv"
    with av.open(str(source)) as container, av.open(str(doubled), "w") as copy:
        target = copy.add_stream_from_template(container.streams.video[0], opaque=True)
        for index, packet in enumerate(container.demux(video=0)):
            if packet.size:
                packet.pts = packet.dts = 6000 * (index - (index == 10))
                packet.stream = target
                copy.mux(packet)
    footage.put("cam1/20260301_100000.mkv", doubled.read_bytes())

    made = footage.collate("cam1")

    with reader(made) as frames:
        times = frames.frame_times()
    assert len(times) == 30
    assert all(before < after for before, after in pairwise(times))
    assert [number for _, number in seen(made)] == list(range(30))


def test_names_may_have_spaces_and_any_script(any_footage: Footage) -> None:
    any_footage.clip("Kasse 1 – Süd/録画 2026-03-01 10.00.00.mp4", CLIP)

    made = any_footage.collate("Kasse 1 – Süd")

    assert made.reel.chunks[0].name == "録画 2026-03-01 10.00.00.mp4"
    assert seen(made)[0] == ("10:00:00.000", 0)


def test_object_metadata_goes_before_the_name(s3_footage: S3Footage) -> None:
    s3_footage.clip("cam1/20260301_100000.mp4", CLIP, {"start-time": "2026-03-01T12:30:00.250+01:00"})

    chunk = s3_footage.collate("cam1").reel.chunks[0]

    assert chunk.time is not None
    assert (str(chunk.time.start), chunk.time.source) == ("2026-03-01T11:30:00.250Z", TimeSource.OBJECT_METADATA)
    assert chunk.time.uncertainty_ns == 1_000_000


def test_without_metadata_and_name_the_container_tells(footage: DiskFootage) -> None:
    footage.clip("cam1/b.mp4", replace(CLIP, metadata=(("creation_time", "2026-03-01T10:00:00Z"),)))
    footage.clip("cam1/a.mp4", replace(at(CLIP, 30), metadata=(("creation_time", "2026-03-01T10:00:02Z"),)))

    made = footage.collate("cam1")

    assert [chunk.time.source for chunk in made.reel.chunks if chunk.time] == [TimeSource.CONTAINER] * 2
    assert [number for _, number in seen(made)] == list(range(60))


def test_last_of_all_the_upload_is_taken_for_the_end_and_that_is_said(footage: DiskFootage) -> None:
    footage.clip("cam1/a.ts", Clip(steady(30)))
    footage.uploaded_at("cam1/a.ts", TEN + 2 * NS_PER_SECOND)

    made = footage.collate("cam1")

    assert made.reel.chunks[0].time is not None
    assert made.reel.chunks[0].time.is_guess
    assert made.reel.parts[0].epoch == TEN
    assert codes(made) == ["chunk_time_guessed"]


def test_file_names_are_read_in_the_given_zone(footage: DiskFootage) -> None:
    footage.clip("cam1/20260701_100000.mp4", CLIP)

    assert seen(footage.collate("cam1", "Europe/Berlin"))[0][0] == "08:00:00.000"
    with pytest.raises(InvalidInput, match="'Mars/Olympus' is not an IANA time zone"):
        footage.collate("cam1", "Mars/Olympus")


def test_a_local_time_that_came_twice_is_said(footage: DiskFootage) -> None:
    footage.clip("cam1/20261025_023000.mp4", CLIP)

    made = footage.collate("cam1", "Europe/Berlin")

    assert seen(made)[0][0] == "00:30:00.000"
    assert codes(made) == ["chunk_time_ambiguous"]


def test_a_window_takes_only_chunks_that_may_hold_it(footage: DiskFootage) -> None:
    for index in range(5):
        footage.clip(f"cam1/20260301_1000{10 * index:02d}.mp4", Clip(steady(150), first_number=150 * index))

    made = footage.collate("cam1", window=Interval(TEN + 22 * NS_PER_SECOND, TEN + 28 * NS_PER_SECOND))

    assert [chunk.name for chunk in made.reel.chunks] == ["20260301_100020.mp4"]


@pytest.mark.parametrize("other", [b"noise" * 200, None], ids=["broken", "short"])
def test_a_small_chunk_that_begins_within_a_long_one_does_not_keep_it_from_a_window(
    footage: DiskFootage, other: bytes | None
) -> None:
    footage.clip("cam1/20260301_100000.mp4", Clip(steady(150)))
    if other is None:
        footage.clip("cam1/20260301_100003.mp4", at(Clip(steady(15)), 45))
    else:
        footage.put("cam1/20260301_100003.mp4", other)

    made = footage.collate("cam1", window=Interval(TEN + 6 * NS_PER_SECOND, TEN + 8 * NS_PER_SECOND))

    assert "20260301_100000.mp4" in [chunk.name for chunk in made.reel.chunks if chunk.span is not None]
    assert made.reel.span is not None
    assert made.reel.span.end >= TEN + 8 * NS_PER_SECOND


def test_chunks_that_go_away_after_the_listing_are_left_out_under_another_key(footage: DiskFootage) -> None:
    footage.clip("cam1/20260301_100000.mp4", CLIP)
    footage.clip("cam1/20260301_100002.mp4", at(CLIP, 30))
    footage.clip("cam1/20260301_100004.mp4", at(CLIP, 60))
    complete = footage.collate("cam1")
    listing = list_footage(footage.objects, footage.uri)
    stale = replace(
        listing,
        cameras={
            "cam1": tuple(replace(c, etag=c.etag + "0") if "_100002" in c.name else c for c in listing.cameras["cam1"])
        },
    )
    (footage.root / "cam1" / "20260301_100004.mp4").unlink()

    made = footage.collator().collate(CollateRequest(stale, "cam1"), Work())

    assert made.artifact.key != complete.artifact.key
    assert [number for _, number in seen(made)] == list(range(30))
    assert codes(made) == ["chunk_gone", "chunk_gone"]


def test_an_unknown_camera_is_named_with_those_that_are_there(footage: DiskFootage) -> None:
    footage.clip("cam1/20260301_100000.mp4", CLIP)

    with pytest.raises(NotFound, match=r"no camera cam7 .* there are cam1"):
        footage.collate("cam7")


def test_work_is_reported_and_stops_when_cancelled_leaving_nothing(footage: DiskFootage) -> None:
    for index in range(6):
        footage.clip(f"cam1/20260301_10000{index}.mp4", Clip(steady(15)))
    steps: list[Step] = []
    work = Work()

    def stop_at_third(step: Step) -> None:
        steps.append(step)
        if step == Step(3, 6, "chunks"):
            work.cancel()

    work.on_step = stop_at_third
    with pytest.raises(Cancelled):
        footage.collate("cam1", work=work)

    assert steps[-1] == Step(3, 6, "chunks")
    assert not [path for path in (footage.folder / "workspace").rglob("*") if path.is_file()]
    assert not [path for path in footage.settings.cache_dir.rglob("*") if path.is_file()]
    assert len(seen(footage.collate("cam1"))) == 90


def test_chunks_are_never_copied_to_the_disk_but_into_the_reel(any_footage: Footage) -> None:
    for index in range(12):
        any_footage.clip(f"cam1/20260301_1000{index:02d}.mp4", Clip(steady(15), first_number=15 * index))
    found: set[str] = set()

    def look(_: Step) -> None:
        places = (any_footage.settings.cache_dir, any_footage.folder / "workspace")
        found.update(path.name for place in places for path in place.rglob("*") if path.is_file())

    made = any_footage.collate("cam1", work=Work(on_step=look))

    assert len(seen(made)) == 180
    assert {name for name in found if not name.endswith(".claim")} == {"part-000.mp4", "gops.parquet"}


def test_the_last_frame_of_a_part_is_read_where_the_container_states_no_durations(footage: DiskFootage) -> None:
    footage.clip("cam1/2026-03-01T10-00-00Z.ts", Clip(steady(31), b_frames=2))
    footage.clip("cam2/2026-03-01T10-00-00Z.ts", Clip(steady(30), b_frames=2))
    footage.clip("cam2/2026-03-01T10-00-02Z.ts", Clip([0], first_number=30, b_frames=2))
    for camera in ("cam1", "cam2"):
        made = footage.collate(camera)
        assert sum(part.frame_count for part in made.reel.parts) == 31
        assert [number for _, number in seen(made)] == list(range(31))
