"""Chunks of the hour that comes twice in autumn are put where those around them, or their uploads, say that they belong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.ingest.footage import DiskFootage, codes, seen
from tests.media.clips import Clip, steady
from throughline.domain.footage import ChunkObject
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.ingest.chunk_times import TimeRules
from throughline.ingest.names import DEFAULT_PATTERNS, FileNameTimes
from throughline.ingest.repeated_hour import settle
from throughline.ingest.survey import Surveyed, order

NAMES = FileNameTimes(DEFAULT_PATTERNS, "Europe/Berlin")
BULK = Instant.parse("2026-10-27T08:00:00Z")
CLIP = Clip(steady(30), gop=15)


def listed(name: str, uploaded: Instant = BULK) -> Surveyed:
    chunk = ChunkObject(f"file:///footage/{name}.mp4", f"2026-10-25_{name}.mp4", 1000, "etag", uploaded)
    return Surveyed(chunk, TimeRules((), NAMES).stated(chunk, {}))


def placed(chunks: Iterable[Surveyed]) -> list[str]:
    """Names and times in UTC, in order, such as 02-40@01:40."""
    settled = settle(sorted(chunks, key=order), NAMES)
    return [f"{one.chunk.name[11:-4]}@{str(one.time.start)[11:16]}" for one in settled if one.time]


def every_ten(hour: int, first: int = 0, last: int = 50, note: str = "") -> list[str]:
    return [f"{hour:02d}-{minute:02d}-00{note}" for minute in range(first, last + 1, 10)]


def test_two_chunks_of_one_name_are_of_both_hours() -> None:
    names = [*every_ten(1, 50), *every_ten(2), *every_ten(2, note=" (1)"), *every_ten(3, 0, 0)]
    assert placed(map(listed, names)) == [
        "01-50-00@23:50",
        *(f"{name}@00:{name[3:5]}" for name in every_ten(2)),
        *(f"{name} (1)@01:{name[3:5]}" for name in every_ten(2)),
        "03-00-00@02:00",
    ]


def test_footage_that_begins_in_the_second_hour_goes_over_into_what_follows() -> None:
    assert placed(map(listed, [*every_ten(2, 30), *every_ten(3, 0, 10)])) == [
        "02-30-00@01:30",
        "02-40-00@01:40",
        "02-50-00@01:50",
        "03-00-00@02:00",
        "03-10-00@02:10",
    ]


def test_footage_that_ends_in_the_first_hour_stays_there() -> None:
    assert placed(map(listed, [*every_ten(1, 40), *every_ten(2, 0, 20)]))[-1] == "02-20-00@00:20"


def test_a_gap_parts_the_first_hour_from_the_second() -> None:
    names = [*every_ten(1, 30), *every_ten(2, 0, 10), *every_ten(2, 40), *every_ten(3)]
    assert placed(map(listed, names))[3:7] == ["02-00-00@00:00", "02-10-00@00:10", "02-40-00@01:40", "02-50-00@01:50"]


def test_a_first_hour_that_is_there_in_part_leaves_the_rest_to_the_second() -> None:
    names = [
        *every_ten(2, 40),
        *(f"{name} (1)" for name in every_ten(2, 40)),
        *every_ten(2, 0, 30),
        *every_ten(3, 0, 0),
    ]
    found = placed(map(listed, names))
    assert found[:3] == ["02-40-00@00:40", "02-50-00@00:50", "02-00-00@01:00"]
    assert len({each[-5:] for each in found}) == len(names), "none covers another"


def test_where_nothing_tells_it_is_the_first_hour() -> None:
    assert placed([listed("02-30-00")]) == ["02-30-00@00:30"]
    assert placed([listed("02-30-00"), listed("08-00-00")])[0] == "02-30-00@00:30"
    assert placed([listed("01-50-00"), listed("02-00-00"), listed("03-10-00")])[1] == "02-00-00@00:00"


def test_uploads_that_follow_the_recording_tell_the_hours_apart() -> None:
    """Chunks that begin at other minutes in the second hour: no two state the same time, and none goes over into others."""

    def live(name: str, begun: str) -> Surveyed:
        return listed(name, Instant.parse(f"2026-10-{begun}:00Z") + 11 * 60 * NS_PER_SECOND)

    chunks = [
        live("01-40-00", "24T23:40"),
        live("02-00-00", "25T00:00"),
        live("02-40-00", "25T00:40"),
        live("02-15-00", "25T01:15"),
        live("02-25-00", "25T01:25"),
        live("03-30-00", "25T02:30"),
    ]
    assert placed(chunks)[1:5] == ["02-00-00@00:00", "02-40-00@00:40", "02-15-00@01:15", "02-25-00@01:25"]


def test_chunks_of_both_hours_between_each_other_follow_the_pace_of_the_recorder() -> None:
    begun = [Instant.parse("2026-10-24T23:00:00Z") + 602 * number * NS_PER_SECOND for number in range(27)]
    local = [
        str(each + (2 if each < Instant.parse("2026-10-25T01:00:00Z") else 1) * 3600 * NS_PER_SECOND) for each in begun
    ]
    found = placed(listed(each[11:19].replace(":", "-")) for each in local)
    assert [each[-5:] for each in found] == [str(each)[11:16] for each in begun]


def test_a_late_upload_moves_no_chunk_onto_another() -> None:
    names = [*every_ten(2), *every_ten(2, note=" (1)"), *every_ten(3, 0, 20)]
    found = placed(listed(name, Instant.parse("2026-10-25T02:25:00Z")) for name in names)
    assert len({each[-5:] for each in found}) == len(names)


def test_names_with_their_zone_and_hours_that_come_once_are_left_alone() -> None:
    chunks = [listed("02-30-00+0100"), listed("04-00-00")]
    assert placed(chunks) == ["02-30-00+0100@01:30", "04-00-00@03:00"]


def test_footage_through_both_hours_is_in_the_reel_once_and_in_order(footage: DiskFootage) -> None:
    names = ["20261025_015958", "20261025_020000", "20261025_025958", "20261025_020000_2", "20261025_025958_2"]
    for index, name in enumerate([*names, "20261025_030000"]):
        footage.clip(f"cam1/{name}.mp4", replace(CLIP, first_number=30 * index))

    made = footage.collate("cam1", "Europe/Berlin")

    assert [number for _, number in seen(made)] == list(range(180))
    assert [str(chunk.time.start)[11:19] for chunk in made.reel.chunks if chunk.time] == [
        "23:59:58",
        "00:00:00",
        "00:59:58",
        "01:00:00",
        "01:59:58",
        "02:00:00",
    ]
    assert codes(made) == ["chunk_time_ambiguous"]
    assert len(made.reel.gaps) == 2, "what was not recorded in either hour"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe"])
def test_a_recorder_that_does_not_put_its_clock_forward_loses_nothing_in_its_own_zone(
    footage: DiskFootage, zone: str
) -> None:
    """Names of the hour that never came are told of; read in a zone without summer time they are as they should be."""
    standard = {"Europe/Berlin": "Etc/GMT-1", "Australia/Lord_Howe": "Etc/GMT-11"}[zone]
    day = {"Europe/Berlin": "20260329", "Australia/Lord_Howe": "20261004"}[zone]
    for index, clock in enumerate(["015958", "020000", "020002"]):
        footage.clip(f"cam1/{day}_{clock}.mp4", replace(CLIP, first_number=30 * index))

    assert codes(footage.collate("cam1", zone)) == ["chunk_time_ambiguous"]
    assert [number for _, number in seen(footage.collate("cam1", zone))] == list(range(90))
    assert codes(footage.collate("cam1", standard)) == []
