"""Time as a type: whole nanoseconds of UTC, spans of them, and what is known about a camera's clock.

Media ticks become nanoseconds in `ticks_to_ns` alone, rounded to the nearest once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

NS_PER_SECOND = 1_000_000_000
NS_PER_MS = 1_000_000
MEDIA_RATE = 90_000
"""Ticks per second of every reel part."""

_ISO = re.compile(
    r"(?P<whole>\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2})(?:[.,](?P<fraction>\d{1,9}))?(?P<zone>Z|z|[+-]\d{2}:?\d{2})"
)


@dataclass(frozen=True, slots=True, order=True)
class Instant:
    """A moment of UTC in whole nanoseconds since 1970."""

    ns: int

    @classmethod
    def parse(cls, text: str) -> Instant:
        """Read ISO 8601 with a zone and up to nine decimals of a second; raise ValueError otherwise."""
        match = _ISO.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not an ISO 8601 time with a zone, such as 2026-03-01T10:00:00.250Z")
        zone = "+00:00" if match["zone"] in "Zz" else match["zone"]
        whole = datetime.fromisoformat(match["whole"].replace(" ", "T") + zone).astimezone(UTC)
        seconds = int((whole - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
        return cls(seconds * NS_PER_SECOND + int((match["fraction"] or "0").ljust(9, "0")))

    @classmethod
    def from_datetime(cls, moment: datetime) -> Instant:
        """Take a datetime with a zone, exact to its microsecond."""
        if moment.tzinfo is None:
            raise ValueError(f"{moment!r} has no time zone")
        delta = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return cls((delta.days * 86_400 + delta.seconds) * NS_PER_SECOND + delta.microseconds * 1_000)

    def to_datetime(self) -> datetime:
        """The moment as an aware UTC datetime, cut to the microsecond."""
        seconds, ns = divmod(self.ns, NS_PER_SECOND)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=ns // 1_000)

    def isoformat(self) -> str:
        """ISO 8601 in UTC with three, six or nine decimals: as few as lose nothing."""
        seconds, ns = divmod(self.ns, NS_PER_SECOND)
        digits = f"{ns:09d}"
        digits = digits[:3] if digits.endswith("000000") else digits[:6] if digits.endswith("000") else digits
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{digits}Z"

    def __str__(self) -> str:
        return self.isoformat()

    def __add__(self, ns: int) -> Instant:
        return Instant(self.ns + ns)

    def __sub__(self, other: Instant) -> int:
        return self.ns - other.ns

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> dict[str, Any]:
        """Stand as ISO 8601 text in every JSON document that pydantic reads or writes."""
        return {
            "type": "function-plain",
            "function": {"type": "no-info", "function": cls._coerce},
            "serialization": {"type": "function-plain", "function": str, "when_used": "json"},
        }

    @classmethod
    def _coerce(cls, value: object) -> Instant:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise ValueError(f"expected an ISO 8601 time, got {value!r}")


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """The half-open span [start, end) of UTC."""

    start: Instant
    end: Instant

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"interval ends at {self.end}, before its start {self.start}")

    @property
    def duration_ns(self) -> int:
        return self.end - self.start

    @property
    def duration_seconds(self) -> float:
        """For people and statistics only; never compute times from it."""
        return self.duration_ns / NS_PER_SECOND

    def __contains__(self, moment: Instant) -> bool:
        return self.start <= moment < self.end

    def overlaps(self, other: Interval) -> bool:
        return self.start < other.end and other.start < self.end

    def intersection(self, other: Interval) -> Interval | None:
        """The common span, or None where they do not overlap."""
        return Interval(max(self.start, other.start), min(self.end, other.end)) if self.overlaps(other) else None

    def gap_ns(self, other: Interval) -> int:
        """Nanoseconds between the two spans; 0 where they touch or overlap."""
        return max(0, other.start - self.end, self.start - other.end)

    def padded(self, before_ns: int, after_ns: int) -> Interval:
        return Interval(self.start + -before_ns, self.end + after_ns)


def merge_intervals(intervals: Iterable[Interval], max_gap_ns: int = 0) -> list[Interval]:
    """The intervals in order, those joined whose gap is at most `max_gap_ns`."""
    merged: list[Interval] = []
    for interval in sorted(intervals):
        if merged and interval.start - merged[-1].end <= max_gap_ns:
            merged[-1] = Interval(merged[-1].start, max(merged[-1].end, interval.end))
        else:
            merged.append(interval)
    return merged


def ticks_to_ns(ticks: int, time_base: Fraction) -> int:
    """Nanoseconds of `ticks` units of `time_base` seconds, rounded to the nearest (half up)."""
    return _round(ticks * time_base.numerator * NS_PER_SECOND, time_base.denominator)


def ns_to_ticks(ns: int, time_base: Fraction) -> int:
    """The tick of `time_base` nearest to `ns` nanoseconds (half up)."""
    return _round(ns * time_base.denominator, time_base.numerator * NS_PER_SECOND)


def _round(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def seconds_to_ns(seconds: float) -> int:
    """For settings that people write in seconds."""
    return round(seconds * NS_PER_SECOND)


@dataclass(frozen=True, slots=True)
class ClockMap:
    """What is known of one camera's clock: UTC = camera time + offset + drift since the reference.

    `drift_ppb` is parts per billion (ns per s), `uncertainty_ns` one standard deviation.
    Applied when reading; never stored into reels or tracks.
    """

    offset_ns: int = 0
    drift_ppb: int = 0
    reference: Instant = Instant(0)
    uncertainty_ns: int = 0

    def to_utc(self, camera: Instant) -> Instant:
        """UTC of a moment that the camera's own clock gives."""
        return camera + self.offset_ns + _round((camera - self.reference) * self.drift_ppb, NS_PER_SECOND)

    def to_camera(self, utc: Instant) -> Instant:
        """The camera's own time at a moment of UTC; the inverse of `to_utc` to within 1 ns."""
        elapsed = utc - self.reference - self.offset_ns
        return self.reference + _round(elapsed * NS_PER_SECOND, NS_PER_SECOND + self.drift_ppb)

    def interval_to_utc(self, camera: Interval) -> Interval:
        return Interval(self.to_utc(camera.start), self.to_utc(camera.end))

    def interval_to_camera(self, utc: Interval) -> Interval:
        return Interval(self.to_camera(utc.start), self.to_camera(utc.end))
