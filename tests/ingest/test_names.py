from __future__ import annotations

import pytest

from throughline.domain.errors import InvalidInput
from throughline.ingest.names import DEFAULT_PATTERNS, FileNameTimes

SECOND, MS = 1_000_000_000, 1_000_000
UTC = FileNameTimes(DEFAULT_PATTERNS)

TEN = "2026-03-01T10:00:00.000Z"


@pytest.mark.parametrize(
    ("name", "start", "uncertainty_ns"),
    [
        # date and time, separated in whatever way
        ("2026-03-01T10-00-00Z.mp4", TEN, SECOND),
        ("2026-03-01T10:00:00Z.mp4", TEN, SECOND),
        ("2026-03-01 10.00.00.mp4", TEN, SECOND),
        ("2026-03-01_10-00-00.mp4", TEN, SECOND),
        ("20260301_100000.mp4", TEN, SECOND),
        ("20260301T100000Z.mp4", TEN, SECOND),
        ("20260301100000.mp4", TEN, SECOND),
        ("cam3_20260301-100000_motion.mkv", TEN, SECOND),
        ("2026_03_01_10_00_00", TEN, SECOND),
        ("2026-03-01 10h00m00s.mov", TEN, SECOND),
        # start and end: the start
        ("20260301100000_20260301100100.mp4", TEN, SECOND),
        ("RecM04_20260301_100000_100059_0.mp4", TEN, SECOND),
        # fractions
        ("2026-03-01T10-00-00.250Z.mp4", "2026-03-01T10:00:00.250Z", MS),
        ("2026-03-01T10-00-00-250Z.mp4", "2026-03-01T10:00:00.250Z", MS),
        ("20260301_100000_250.mp4", "2026-03-01T10:00:00.250Z", MS),
        ("2026-03-01T10:00:00,250000.ts", "2026-03-01T10:00:00.250Z", 1000),
        ("2026-03-01T10-00-00.000000250Z.mp4", "2026-03-01T10:00:00.000000250Z", 1),
        # zones
        ("2026-03-01T10-00-00+01:00.mp4", "2026-03-01T09:00:00.000Z", SECOND),
        ("20260301T100000-0530.mp4", "2026-03-01T15:30:00.000Z", SECOND),
        ("20260301T100000-0012.mp4", TEN, SECOND),
        ("cam-20260301-100000-0012.mp4", TEN, SECOND),
        ("2026-03-01_10-00-00-0345.mp4", TEN, SECOND),
        ("20260301_100000-2401.mp4", TEN, SECOND),
        # folders
        ("2026-03-01/10-00-00.mp4", TEN, SECOND),
        ("2026/03/01/10/00/00.mp4", TEN, SECOND),
        ("2026/03/01/cam_10-00-00.mp4", TEN, SECOND),
        ("2026-03-01/001/dav/10/10.00.00-10.01.00[M][0@0][0].mp4", TEN, SECOND),
        ("Mp4Record/2026-03-01/RecM04_20260301_100000_100059_ABC.mp4", TEN, SECOND),
        # minutes
        ("2026-03-01/10-05.mp4", "2026-03-01T10:05:00.000Z", 60 * SECOND),
        ("2026/03/01/10/05.mp4", "2026-03-01T10:05:00.000Z", 60 * SECOND),
        # since 1970
        ("1772359200.mp4", TEN, SECOND),
        ("1772359200.250.mp4", "2026-03-01T10:00:00.250Z", MS),
        ("1772359200250.mp4", "2026-03-01T10:00:00.250Z", MS),
        ("rec-1772359200250000-hd.mp4", "2026-03-01T10:00:00.250Z", 1000),
        ("1772359200000000250.mp4", "2026-03-01T10:00:00.000000250Z", 1),
        # digits that mean something else come before the time
        ("12345678_20260301_100000.mp4", TEN, SECOND),
        ("192.168.001.020_20260301_100000.mp4", TEN, SECOND),
    ],
)
def test_times_are_found_in_names(name: str, start: str, uncertainty_ns: int) -> None:
    time = UTC.read(name)
    assert time is not None
    assert (str(time.start), time.uncertainty_ns) == (start, uncertainty_ns)


@pytest.mark.parametrize(
    "name",
    [
        "clip.mp4",
        "10-00-00.mp4",
        "20261301_100000.mp4",
        "20260301_250000.mp4",
        "hiv00001.mp4",
        "2026030110.mp4",
        "123456789012.mp4",
    ],
)
def test_names_without_a_time_have_none(name: str) -> None:
    assert UTC.read(name) is None


@pytest.mark.parametrize(
    ("name", "zone", "start"),
    [
        ("20260301_100000.mp4", "Europe/Berlin", "2026-03-01T09:00:00.000Z"),
        ("20260701_100000.mp4", "Europe/Berlin", "2026-07-01T08:00:00.000Z"),
        ("20260701_100000.mp4", "Asia/Kathmandu", "2026-07-01T04:15:00.000Z"),
        ("2026-07-01T10-00-00Z.mp4", "Europe/Berlin", "2026-07-01T10:00:00.000Z"),
        ("1772359200.mp4", "Europe/Berlin", TEN),
    ],
)
def test_only_times_that_state_no_zone_are_local(name: str, zone: str, start: str) -> None:
    time = FileNameTimes(DEFAULT_PATTERNS, zone).read(name)
    assert time is not None
    assert str(time.start) == start


@pytest.mark.parametrize("name", ["20261025_023000.mp4", "20260329_023000.mp4"])
def test_local_times_that_came_twice_or_never_are_ambiguous(name: str) -> None:
    time = FileNameTimes(DEFAULT_PATTERNS, "Europe/Berlin").read(name)
    assert time is not None
    assert time.is_ambiguous
    assert time.uncertainty_ns == 3600 * SECOND


def test_patterns_can_be_given() -> None:
    american = FileNameTimes((r"(?P<month>\d\d)-(?P<day>\d\d)-(?P<year>\d{4})_(?P<hour>\d\d)(?P<minute>\d\d)",))
    time = american.read("03-01-2026_1000.mp4")
    assert time is not None
    assert str(time.start) == TEN


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("(", "is not a regular expression"),
        (r"(?P<year>\d{4})", "needs the named groups epoch, or year, month"),
        (r"(?P<epoch>\d+)(?P<camera>.)", "others unknown"),
    ],
)
def test_patterns_that_cannot_be_are_refused(pattern: str, expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        FileNameTimes((pattern,))
