"""Times survive every form that they are written in, to the nanosecond."""

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from throughline.domain.time import (
    ClockMap,
    Instant,
    Interval,
    merge_intervals,
    ns_to_ticks,
    ticks_to_ns,
)

instants = st.integers(-(10**18), 4 * 10**18).map(Instant)


@given(instants)
def test_iso_text_reads_back_to_the_same_nanosecond(instant: Instant) -> None:
    assert Instant.parse(instant.isoformat()) == instant


@given(instants)
def test_json_reads_back_to_the_same_nanosecond(instant: Instant) -> None:
    adapter = TypeAdapter(Instant)
    assert adapter.validate_json(adapter.dump_json(instant)) == instant


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01 01:00:00,5+01:00", 500_000_000),
        ("1970-01-01T00:00:01-0000", 1_000_000_000),
        ("1969-12-31T23:59:59.999Z", -1_000_000),
    ],
)
def test_iso_forms_that_people_write_are_read(text: str, ns: int) -> None:
    assert Instant.parse(text).ns == ns


@pytest.mark.parametrize("text", ["", "2026-03-01", "2026-03-01T10:00:00", "2026-13-01T10:00:00Z", "10:00Z", "1e9"])
def test_text_that_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"month|ISO 8601"):
        Instant.parse(text)


def test_json_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValidationError, match="ISO 8601"):
        TypeAdapter(Instant).validate_json("12")


def test_datetimes_of_any_zone_become_the_same_moment() -> None:
    moment = datetime(2026, 3, 1, 10, 0, 0, 250_000, tzinfo=UTC)
    assert Instant.from_datetime(moment) == Instant.from_datetime(moment.astimezone(timezone(timedelta(hours=-7))))
    assert Instant.from_datetime(moment).to_datetime() == moment


def test_a_datetime_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Instant.from_datetime(datetime(2026, 3, 1))  # noqa: DTZ001


@given(st.integers(0, 10**14), st.sampled_from([Fraction(1, 90_000), Fraction(1, 15_360), Fraction(1001, 30_000)]))
def test_ticks_survive_the_way_through_nanoseconds(ticks: int, time_base: Fraction) -> None:
    assert ns_to_ticks(ticks_to_ns(ticks, time_base), time_base) == ticks


def test_ticks_are_rounded_to_the_nearest_nanosecond() -> None:
    assert ticks_to_ns(1, Fraction(1, 90_000)) == 11_111
    assert ticks_to_ns(2, Fraction(1, 90_000)) == 22_222
    assert ticks_to_ns(5, Fraction(1, 90_000)) == 55_556


@given(
    instants,
    st.integers(-(10**13), 10**13),
    st.integers(-1_000_000, 1_000_000),
    instants,
)
def test_a_clock_map_and_its_inverse_cancel_out(moment: Instant, offset: int, drift: int, reference: Instant) -> None:
    clock = ClockMap(offset, drift, reference)
    assert abs(clock.to_camera(clock.to_utc(moment)) - moment) <= 1


def test_a_drifting_clock_is_mapped_by_the_time_since_its_reference() -> None:
    # A clock that loses 1 ms in each second is 1 s behind after 1000 s.
    clock = ClockMap(offset_ns=0, drift_ppb=1_000_000, reference=Instant(0))
    assert clock.to_utc(Instant(1000 * 10**9)) == Instant(1001 * 10**9)


def test_an_interval_that_ends_before_its_start_is_refused() -> None:
    with pytest.raises(ValueError, match="before its start"):
        Interval(Instant(1), Instant(0))


@pytest.mark.parametrize(
    ("a", "b", "gap", "shared"),
    [
        ((0, 5), (5, 9), 0, None),  # they touch
        ((0, 5), (4, 9), 0, (4, 5)),  # they overlap
        ((0, 9), (3, 4), 0, (3, 4)),  # one holds the other
        ((7, 9), (0, 4), 3, None),  # apart, in either order
    ],
)
def test_gap_and_intersection_of_two_intervals(
    a: tuple[int, int], b: tuple[int, int], gap: int, shared: tuple[int, int] | None
) -> None:
    first, second = (Interval(Instant(start), Instant(end)) for start, end in (a, b))
    assert first.gap_ns(second) == second.gap_ns(first) == gap
    assert first.intersection(second) == (shared and Interval(Instant(shared[0]), Instant(shared[1])))


def test_intervals_are_merged_over_gaps_up_to_the_limit() -> None:
    spans = [Interval(Instant(start), Instant(end)) for start, end in [(8, 9), (0, 2), (3, 5), (4, 6)]]
    assert merge_intervals(spans, 1) == [Interval(Instant(0), Instant(6)), Interval(Instant(8), Instant(9))]
