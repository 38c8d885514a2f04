"""What is known of a site: how long people take from camera to camera, and whose views overlap. What is not said is not known."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from throughline.domain.errors import InvalidInput
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, Interval

Way = tuple[str, str]
"""From one camera to another, in this direction."""

HANDOVER_NS = 300 * NS_PER_MS
"""Two tracks of one person may both be there for so long, where one takes over from the other."""
LONGER_THAN_MOST = 0.2
"""Likelihood ratio of a transit longer than the longest that was given: people stop on their way, so it is not impossible."""
DIRECT = 0.5
"""Share of two sightings of one person between which nobody saw them that are one transit; the rest went elsewhere in between."""
_SURE = 3.0
"""Standard deviations of the clocks by which something has to be off to be called impossible."""


@dataclass(frozen=True, slots=True)
class Transit:
    """From leaving one view to entering another. `spread` is the factor around the median within which two thirds lie, over 1."""

    least_ns: int = 0
    most_ns: int | None = None
    median_ns: int | None = None
    spread: float | None = None

    def __post_init__(self) -> None:
        if self.least_ns < 0:
            raise InvalidInput(f"least is {_seconds(self.least_ns)}; expected 0 s or more")
        if self.most_ns is not None and self.most_ns < self.least_ns:
            raise InvalidInput(f"least {_seconds(self.least_ns)} is more than most {_seconds(self.most_ns)}; swap them")
        if (self.median_ns is None) != (self.spread is None):
            raise InvalidInput("median and spread belong together; give both or neither")
        if self.median_ns is not None and not (
            max(self.least_ns, 1) <= self.median_ns and (self.most_ns is None or self.median_ns <= self.most_ns)
        ):
            raise InvalidInput(
                f"median is {_seconds(self.median_ns)}; expected more than 0 s, and from least to most where these are given"
            )
        if self.spread is not None and not (math.isfinite(self.spread) and self.spread > 1):
            raise InvalidInput(f"spread is {self.spread:g}; expected a factor over 1, such as 1.5")


class Objection(StrEnum):
    """Why two sightings cannot be one person."""

    SAME_TIME = "same_time"
    TOO_SOON = "too_soon"


@dataclass(frozen=True, slots=True)
class Sighting:
    """Somebody before one camera, in UTC. `uncertainty_ns`: one standard deviation of that camera's clock."""

    camera: str
    span: Interval
    uncertainty_ns: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What space and time say of two sightings. `ratio`: how much likelier they are with one person than with two; 1 says nothing."""

    objection: Objection | None = None
    ratio: float = 1.0
    reason: str = ""
    """For people; empty where nothing is known."""


UNKNOWN = Judgement()


@dataclass(frozen=True)
class Topology:
    """`overlaps` holds pairs of cameras in order of their names; where `overlaps_complete`, no other two of `cameras` overlap, and
    in any case none with a way in `transits` between them. `learned`: transits by which nothing is impossible.

    Raises InvalidInput where a camera stands on both sides of a way or overlap.
    """

    cameras: frozenset[str] = frozenset()
    transits: Mapping[Way, Transit] = field(default_factory=dict)
    overlaps: frozenset[Way] = frozenset()
    overlaps_complete: bool = False
    learned: Mapping[Way, Transit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for start, end in (*self.transits, *self.overlaps):
            if start == end:
                raise InvalidInput(f"camera {start!r} stands on both sides; name two cameras")

    def missing(self, present: Collection[str]) -> tuple[str, ...]:
        """Cameras that it names and that are not `present`, in order."""
        return tuple(sorted(self.cameras - set(present)))

    def overlapping(self, one: str, other: str) -> bool | None:
        """Whether somebody can be before both at once; None where that is not known."""
        pair = (min(one, other), max(one, other))
        if pair in self.overlaps:
            return True
        walked = (one, other) in self.transits or (other, one) in self.transits
        return False if walked or (self.overlaps_complete and {one, other} <= self.cameras) else None

    def transit(self, start: str, end: str) -> Transit | None:
        """What is known of a way: what was given, and what was learned where no median was."""
        given, found = self.transits.get((start, end)), self.learned.get((start, end))
        if given is None or found is None or given.median_ns is not None:
            return given or found
        median = found.median_ns or 0
        fits = given.least_ns <= median and (given.most_ns is None or median <= given.most_ns)
        return replace(given, median_ns=found.median_ns, spread=found.spread) if fits else given

    def judge(self, one: Sighting, other: Sighting, window_ns: int) -> Judgement:
        """What the times of two sightings by different cameras say. `window_ns`: how long the cameras looked, in which anybody
        else could have come at any moment."""
        first, second = sorted((one, other), key=lambda each: (each.span, each.camera))
        slack_ns = round(_SURE * math.hypot(first.uncertainty_ns, second.uncertainty_ns))
        gap_ns = second.span.start - min(first.span.end, second.span.end)
        if gap_ns < 0 and self.overlapping(first.camera, second.camera) is not False:
            return UNKNOWN
        if -gap_ns > HANDOVER_NS + slack_ns:
            reason = f"{_at_once(first.camera, second.camera, gap_ns)}; their views do not overlap"
            return Judgement(Objection.SAME_TIME, 0.0, reason)
        forth = self._judge_way(first.camera, second.camera, gap_ns, slack_ns, window_ns)
        back_ns = first.span.start - second.span.end
        if forth.objection is None or -back_ns > HANDOVER_NS + slack_ns:
            return forth
        # Their times are not sure enough to tell which way it was.
        back = self._judge_way(second.camera, first.camera, back_ns, slack_ns, window_ns)
        if back.objection:
            return forth
        reason = f"{_seconds(max(gap_ns, 0))} from {first.camera} to {second.camera}, or by unsure clocks the other way"
        return replace(back, reason=reason if back.reason else "")

    def _judge_way(self, start: str, end: str, gap_ns: int, slack_ns: int, window_ns: int) -> Judgement:
        transit = self.transit(start, end)
        if transit is None:
            return UNKNOWN
        text = f"{_seconds(gap_ns)} from {start} to {end}" if gap_ns >= 0 else _at_once(start, end, gap_ns)
        if gap_ns + slack_ns + HANDOVER_NS < transit.least_ns:
            return Judgement(Objection.TOO_SOON, 0.0, f"{text}; it takes {_seconds(transit.least_ns)} at least")
        ratio, known = 1.0, []
        if transit.most_ns is not None and gap_ns - slack_ns > transit.most_ns:
            ratio, known = LONGER_THAN_MOST, [f"at most {_seconds(transit.most_ns)} as a rule"]
        if transit.median_ns is not None and transit.spread is not None:
            ratio = min(ratio, 1.0) * _lognormal_ratio(gap_ns, transit.median_ns, transit.spread, slack_ns, window_ns)
            known.append(f"{_seconds(transit.median_ns)} is usual")
        return Judgement(None, ratio, "; ".join([text, *known]))


def _lognormal_ratio(gap_ns: int, median_ns: int, spread: float, slack_ns: int, window_ns: int) -> float:
    """How much likelier the gap is for one person than for somebody who came at any moment of the window."""
    gap = max(gap_ns, slack_ns, HANDOVER_NS) / NS_PER_SECOND
    sigma = math.log(spread)
    z = (math.log(gap) - math.log(median_ns / NS_PER_SECOND)) / sigma
    density = math.exp(-z * z / 2) / (gap * sigma * math.sqrt(2 * math.pi))
    return (1 - DIRECT) + DIRECT * density * window_ns / NS_PER_SECOND


def _at_once(one: str, other: str, gap_ns: int) -> str:
    return f"seen by {one} and {other} at once for {_seconds(-gap_ns)}"


def _seconds(ns: int) -> str:
    return f"{ns / NS_PER_SECOND:.1f} s"
