from __future__ import annotations

import pytest

from throughline.domain.footage import ChunkObject, TimeSource
from throughline.domain.time import Instant
from throughline.ingest.chunk_times import DEFAULT_METADATA_KEYS, TimeRules, read_metadata_time
from throughline.ingest.names import DEFAULT_PATTERNS, FileNameTimes

RULES = TimeRules(DEFAULT_METADATA_KEYS, FileNameTimes(DEFAULT_PATTERNS))
CHUNK = ChunkObject("s3://b/cam1/20260301_100000.mp4", "20260301_100000.mp4", 1, "e", Instant(0))


@pytest.mark.parametrize(
    ("text", "start", "uncertainty_ns"),
    [
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00.000Z", 1_000_000_000),
        (" 2026-03-01T11:00:00.25+01:00 ", "2026-03-01T10:00:00.250Z", 10_000_000),
        ("1772359200", "2026-03-01T10:00:00.000Z", 1_000_000_000),
        ("1772359200.125", "2026-03-01T10:00:00.125Z", 1_000_000),
        ("1772359200125", "2026-03-01T10:00:00.125Z", 1_000_000),
        ("1772359200125000", "2026-03-01T10:00:00.125Z", 1_000),
        ("1772359200125000000", "2026-03-01T10:00:00.125Z", 1),
    ],
)
def test_metadata_states_times_as_iso_8601_or_digits_since_1970(text: str, start: str, uncertainty_ns: int) -> None:
    time = read_metadata_time(text)
    assert time is not None
    assert (str(time.start), time.source, time.uncertainty_ns) == (start, TimeSource.OBJECT_METADATA, uncertainty_ns)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-03-01T10:00:00", "177235920", "1772359200125.5"],
)
def test_what_is_no_time_states_none(text: str) -> None:
    assert read_metadata_time(text) is None


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "9999999999"])
def test_a_time_of_no_recording_states_none(text: str) -> None:
    assert read_metadata_time(text) is None


def test_unreadable_metadata_gives_way_to_the_name() -> None:
    time = RULES.stated(CHUNK, {"start-time": "noon"})
    assert time is not None
    assert time.source is TimeSource.FILE_NAME


def test_keys_are_tried_in_order() -> None:
    time = RULES.stated(CHUNK, {"capture_time": "1772359201", "capture-time": "1772359202"})
    assert time is not None
    assert time.start == Instant(1_772_359_202_000_000_000)
