"""Transit times learned from people who were confirmed: robust, drawn towards what is usual, and only where there are enough."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from throughline.domain.pairs import TrackId, TrackSpan
from throughline.domain.time import NS_PER_SECOND, seconds_to_ns
from throughline.domain.topology import HANDOVER_NS, Way

LEAST_PAIRS = 8
"""Fewer transits say nothing of a way."""
_PRIOR_PAIRS = 4.0
"""What is usual on the site counts as so many transits of every way."""
_LEAST_SPREAD = 1.2
_MAD = 1.4826
"""Standard deviations of a normal distribution in a median absolute deviation."""


@dataclass(frozen=True, slots=True, order=True)
class LearnedTransit:
    """Log-normal times from one camera to another, learned from `pairs` transits; see topology.Transit."""

    start: str
    end: str
    median_ns: int
    spread: float
    pairs: int


def gaps_of(people: Iterable[Iterable[TrackSpan]]) -> dict[Way, list[int]]:
    """By way the nanoseconds from one sighting of a person to the next if that is elsewhere, negative where both are at once; tracks
    that were asked about twice count once."""
    seen: set[tuple[TrackId, TrackId]] = set()
    gaps: dict[Way, list[int]] = {}
    for tracks in people:
        for one, other in pairwise(sorted(set(tracks), key=lambda each: (each.span, each.track))):
            gap_ns = other.span.start - one.span.end
            pair = (one.track, other.track)
            if one.track.camera != other.track.camera and pair not in seen:
                seen.add(pair)
                gaps.setdefault((one.track.camera, other.track.camera), []).append(gap_ns)
    return gaps


def learn(gaps: Mapping[Way, Sequence[int]]) -> tuple[LearnedTransit, ...]:
    """What the ways with enough transits take, in order of their cameras; whoever is in two views at once is under way between none."""
    gaps = {way: [gap for gap in several if gap >= 0] for way, several in gaps.items()}
    every = [gap for several in gaps.values() for gap in several]
    if not every:
        return ()
    usual, usual_variance = _robust(every)
    found = []
    for (start, end), several in sorted(gaps.items()):
        if len(several) >= LEAST_PAIRS:
            middle, variance = _robust(several)
            weight = len(several) / (len(several) + _PRIOR_PAIRS)
            median = math.exp(weight * middle + (1 - weight) * usual)
            spread = math.exp(math.sqrt(weight * variance + (1 - weight) * usual_variance))
            found.append(LearnedTransit(start, end, seconds_to_ns(median), max(spread, _LEAST_SPREAD), len(several)))
    return tuple(found)


def _robust(gaps_ns: Sequence[int]) -> tuple[float, float]:
    """Median and variance of the logarithm of the seconds, the variance by the median absolute deviation."""
    logs = np.log(np.maximum(gaps_ns, HANDOVER_NS) / NS_PER_SECOND)
    middle = float(np.median(logs))
    return middle, (_MAD * float(np.median(np.abs(logs - middle)))) ** 2
