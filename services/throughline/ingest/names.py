"""When a chunk was taken, by its file name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from throughline.domain.errors import InvalidInput
from throughline.domain.time import NS_PER_SECOND, Instant

_DATE = r"(?P<year>(?:19|20)\d{2})[-_./]?(?P<month>\d{2})[-_./]?(?P<day>\d{2})"
_CLOCK = r"(?P<hour>\d{2})[-_.:/hH]?(?P<minute>\d{2})[-_.:/mM]?(?P<second>\d{2})"
_FRACTION = r"(?:[-_.,](?P<fraction>(?<=[.,])(?:\d{9}|\d{6})|\d{3}))?"
_EAST, _WEST = r"\+(?:0\d|1[0-4]):?(?:00|30|45)", r"-(?:0[1-9]|1[0-2])"
_ZONE = rf"(?P<zone>Z|{_EAST}(?!\d)|{_WEST}:(?:00|30)(?!\d))?(?!\d)"
"""Four digits after a hyphen are mostly a running number; only after ISO's T they are a zone."""
_ISO_ZONE = rf"(?P<zone>Z|{_EAST}(?!\d)|{_WEST}:?(?:00|30)(?!\d))(?!\d)"

DEFAULT_PATTERNS = (
    # 2026-03-01T10-00-00.250Z, 20260301_100000, 2026-03-01/10-00-00, 2026/03/01/10/00/00, 20260301100000+0100
    rf"(?<!\d){_DATE}T{_CLOCK}{_FRACTION}{_ISO_ZONE}",
    rf"(?<!\d){_DATE}[-_ T./]*{_CLOCK}{_FRACTION}{_ZONE}",
    # 2026-03-01/001/dav/10.00.00-10.01.00[M]: the date is a folder somewhere above
    rf"(?<!\d){_DATE}/(?:.*/)?(?:[^/]*?[^/\d])??{_CLOCK}{_FRACTION}{_ZONE}",
    # 1772359200, 1772359200.250, 1772359200250, 1772359200250000, 1772359200250000000
    r"(?<!\d)(?P<epoch>1\d{18}|1\d{15}|1\d{12}|1\d{9})(?:\.(?P<fraction>\d{1,9}))?(?!\d)",
    # 2026-03-01_10-05, 2026/03/01/10/05: whole minutes
    rf"(?<!\d){_DATE}[-_ T./]+(?P<hour>\d{{2}})[-_.:/hH]?(?P<minute>\d{{2}})(?!\d)",
)
"""Tried in this order, each wherever it fits, on the path below the camera's folder without its extension."""

_EPOCH_UNIT_NS = {10: NS_PER_SECOND, 13: 1_000_000, 16: 1_000, 19: 1}
AMBIGUITY_NS = 3600 * NS_PER_SECOND
_GROUPS = {"year", "month", "day", "hour", "minute", "second", "fraction", "zone", "epoch"}


@dataclass(frozen=True, slots=True)
class NameTime:
    """A time read from a name. `uncertainty_ns` is one unit of its last place, or an hour where clocks were put back."""

    start: Instant
    uncertainty_ns: int
    is_ambiguous: bool = False
    """The local time came twice, and the earlier is taken; or never, and it is read by the offset from before the change."""
    again_ns: int = 0
    """So much later the same local time came again; 0 where it did not."""


class FileNameTimes:
    """Reads times from file names by regular expressions with named groups.

    Groups are either `epoch` (10, 13, 16 or 19 digits: seconds to nanoseconds since 1970) or `year`, `month`, `day`, `hour`,
    `minute` and perhaps `second`; both may have `fraction` (decimals of a second), the latter `zone` (Z or +01:00). A time
    without a zone is local to `time_zone`. Raises InvalidInput for patterns and zones that can't be.
    """

    def __init__(self, patterns: tuple[str, ...], time_zone: str = "UTC") -> None:
        self._patterns = [_compiled(pattern) for pattern in patterns]
        try:
            self._zone = ZoneInfo(time_zone or "UTC")
        except (ValueError, OSError, KeyError) as error:
            raise InvalidInput(f"{time_zone!r} is not an IANA time zone; give one such as Europe/Berlin") from error

    def read(self, name: str) -> NameTime | None:
        """The first time that a name states, or None. The extension takes no part, unless it is a number."""
        folder, _, last = name.rpartition("/")
        stem, _, extension = last.rpartition(".")
        text = f"{folder}/{last if extension.isdigit() else stem or last}"
        for pattern in self._patterns:
            for match in pattern.finditer(text):
                time = self._time(match.groupdict())
                if time is not None:
                    return time
        return None

    def _time(self, groups: dict[str, str | None]) -> NameTime | None:
        fraction = groups.get("fraction") or ""
        fraction_ns = int(fraction.ljust(9, "0")) if fraction else 0
        epoch = groups.get("epoch")
        if epoch:
            unit = _EPOCH_UNIT_NS.get(len(epoch))
            if unit is None:
                return None
            return NameTime(Instant(int(epoch) * unit + fraction_ns), _resolution(fraction, unit))
        fields = [int(groups.get(name) or 0) for name in ("year", "month", "day", "hour", "minute", "second")]
        zone = groups.get("zone")
        try:
            local = datetime(*fields, tzinfo=_fixed_zone(zone) if zone else self._zone)  # type: ignore[arg-type,misc]
        except ValueError:
            return None  # a thirteenth month: the digits mean something else
        start = Instant.from_datetime(local) + fraction_ns
        again_ns = Instant.from_datetime(local.replace(fold=1)) + fraction_ns - start
        if again_ns:
            return NameTime(start, AMBIGUITY_NS, is_ambiguous=True, again_ns=max(0, again_ns))
        return NameTime(start, _resolution(fraction, NS_PER_SECOND if groups.get("second") else 60 * NS_PER_SECOND))


def _resolution(fraction: str, unit_ns: int) -> int:
    return 10 ** (9 - len(fraction)) if fraction else unit_ns


def _fixed_zone(text: str) -> tzinfo:
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidInput(f"file name pattern {pattern!r} is not a regular expression: {error}") from error
    groups = set(compiled.groupindex)
    if groups - _GROUPS or not ({"epoch"} <= groups or {"year", "month", "day", "hour", "minute"} <= groups):
        raise InvalidInput(
            f"file name pattern {pattern!r} needs the named groups epoch, or year, month, day, hour and minute; "
            f"second, fraction and zone are optional, others unknown"
        )
    return compiled
