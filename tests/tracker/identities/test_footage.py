"""Times of boxes: exact whatever the rate, refused where they are absurd, and UTC where the table says so."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.domain.errors import InvalidInput
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.tracker.identities.footage import Footage, read_footage
from throughline.tracker.identities.layout import read_video

START = "2026-03-02T10:00:00Z"
HEAD = "frame,track_id,left,top,right,bottom"


def footage(folder: Path, table: str, **summary: object) -> Footage:
    (folder / "tracks.csv").write_text(table)
    (folder / "summary.json").write_text(json.dumps(summary))
    return read_footage(read_video(folder))


@settings(max_examples=30)
@given(frame=st.integers(0, 10**8), fps=st.sampled_from(["29.970029", "23.976023", "30000/1001", "59.94", "0.333333"]))
def test_times_by_frame_are_exact(tmp_path_factory: pytest.TempPathFactory, frame: int, fps: str) -> None:
    found = footage(tmp_path_factory.getbasetemp(), f"{HEAD}\n{frame},1,0,0,9,9\n", start=START, fps=fps)
    exact = Instant.parse(START).ns + int(frame * NS_PER_SECOND / Fraction(fps))
    assert found.times_ns.tolist() == [exact]


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        ({"start_ns": 2**62 + 2**61 + 2**60}, "is not from 1970 to 2200"),
        ({"start_ns": 2**70}, "is not from 1970 to 2200"),
        ({"start_ns": -5}, "is not from 1970 to 2200"),
        ({"start_ns": 1.7e18}, "no whole number of nanoseconds"),
        ({"start": 1772359200}, "not an ISO 8601 time"),
        ({"start": "0001-01-01T00:00:00+14:00"}, "summary.json: start"),
        ({"start": "9999-12-31T23:59:59Z"}, "is not from 1970 to 2200"),
        ({"fps": "0.000001"}, "which no video has at 1e-06 frames per second"),
    ],
)
def test_times_out_of_all_reason_are_refused(tmp_path: Path, summary: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        footage(tmp_path, f"{HEAD}\n10000000,1,0,0,9,9\n", **{"start": START, "fps": 25, **summary})


@pytest.mark.parametrize("time", ["8999999999999999999", "-99999999999999999"])
def test_times_of_a_table_out_of_all_reason_are_refused(tmp_path: Path, time: str) -> None:
    with pytest.raises(InvalidInput, match="its times go from"):
        footage(tmp_path, f"{HEAD},time_ns\n0,1,0,0,9,9,{time}\n", start=START)


@pytest.mark.parametrize("summary", [{}, {"start": START}])
def test_utc_times_of_a_table_count_whatever_the_start(tmp_path: Path, summary: dict[str, object]) -> None:
    found = footage(tmp_path, f"{HEAD},time_ns\n0,1,0,0,9,9,1772359200393000001\n", **summary)
    assert (found.times_ns.tolist(), found.is_timed) == ([1772359200393000001], True)


def test_times_since_the_start_are_utc_with_one_alone(tmp_path: Path) -> None:
    table = f"{HEAD},time_ns\n0,1,0,0,9,9,500\n"
    found = footage(tmp_path, table, start=START)
    assert (found.times_ns.tolist(), found.is_timed) == ([Instant.parse(START).ns + 500], True)
    found = footage(tmp_path, table)
    assert (found.times_ns.tolist(), found.is_timed) == ([500], False)


def test_names_that_are_too_long_for_outputs_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 250)
    folder.mkdir()
    with pytest.raises(InvalidInput, match="more than 238 bytes"):
        read_video(folder)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "summary.json").symlink_to("x" * 300)
    with pytest.raises(InvalidInput, match=r"summary\.json cannot be read: File name too long"):
        read_video(tmp_path)
