"""Which tracks go on in which others, by their motion at both ends, and by looks where crops are at hand. Nothing is written.

All joins are decided at once: of all ways to pair ends with beginnings, each once at most, the one of least cost in sum, where
leaving an end alone costs something too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from throughline.domain.time import NS_PER_SECOND, seconds_to_ns
from throughline.tracker.ends import Ends, Motion

_LEFT_ALONE = 0.7
"""Cost of an end that goes on in no other track; a pair that costs more is never joined."""
_OFF, _OFF_A_SECOND = 0.1, 0.2
"""Heights by which the two motions may miss each other: at once, and more for each second between them."""
_HEIGHT_RATIO = 0.1
_GAP_COST_A_SECOND = 0.25
_LOOKS_COST = 0.5

Looks = Callable[[int, int], float | None]
"""The probability that two tracks show the same person, at equal priors; None where one has no crops."""


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """`longest_seconds`: longest time out of sight; 0 joins nothing. `least_likelihood`: of the same person by looks, where both
    tracks have crops."""

    longest_seconds: float = 2.0
    least_likelihood: float = 0.8


NO_JOINS = JoinSettings(longest_seconds=0.0)


@dataclass(frozen=True, slots=True)
class Join:
    """That track `before` goes on as track `after`, and why: the time between them, what the motions cost (0: they meet exactly),
    and the probability of the same person by looks, None where these were not at hand."""

    before: int
    after: int
    gap_ns: int
    cost: float
    likelihood: float | None


def joins(
    ends: Mapping[int, Ends], settings: JoinSettings, breaks_ns: Sequence[int] = (), looks: Looks | None = None
) -> list[Join]:
    """The joins of least cost in sum, by time. `breaks_ns`: moments at which everything began anew, which no join spans."""
    found = list(_candidates(ends, settings, np.array(breaks_ns, np.int64), looks))
    return sorted(_chosen(found), key=lambda each: (ends[each.after].head.time_ns, each.after))


def chains(numbers: Sequence[int], joined: Sequence[Join]) -> list[list[int]]:
    """All of `numbers`, those that were joined in one list, in order."""
    following = {each.before: each.after for each in joined}
    result = []
    for first in sorted(set(numbers) - set(following.values())):
        chain = [first]
        while chain[-1] in following:
            chain.append(following[chain[-1]])
        result.append(chain)
    return result


def _candidates(
    ends: Mapping[int, Ends], settings: JoinSettings, breaks_ns: NDArray[np.int64], looks: Looks | None
) -> Iterator[Join]:
    numbers = np.array(sorted(ends, key=lambda number: ends[number].head.time_ns), np.int64)
    begins = np.array([ends[number].head.time_ns for number in numbers.tolist()], np.int64)
    longest_ns = seconds_to_ns(settings.longest_seconds)
    for before, (_, tail) in ends.items():
        first, after = np.searchsorted(begins, (tail.time_ns, tail.time_ns + longest_ns), side="right")
        for number in numbers[first:after].tolist():
            head = ends[number].head
            cost = _cost(tail, head)
            if (
                cost >= _LEFT_ALONE
                or np.diff(np.searchsorted(breaks_ns, (tail.time_ns, head.time_ns), side="right"))[0]
            ):
                continue
            likelihood = None if looks is None else looks(before, number)
            if likelihood is not None:
                cost += _LOOKS_COST * (1 - likelihood)
            if cost < _LEFT_ALONE and (likelihood is None or likelihood >= settings.least_likelihood):
                yield Join(before, number, head.time_ns - tail.time_ns, cost, likelihood)


def _cost(tail: Motion, head: Motion) -> float:
    """How badly one motion leads into the other: half the squares of what they miss each other by, in what is usual."""
    seconds = (head.time_ns - tail.time_ns) / NS_PER_SECOND
    known = max(tail.certainty + head.certainty, 1e-6)
    velocity_x = (tail.velocity_x * tail.certainty + head.velocity_x * head.certainty) / known
    velocity_y = (tail.velocity_y * tail.certainty + head.velocity_y * head.certainty) / known
    off = np.hypot(head.x - tail.x - velocity_x * seconds, head.y - tail.y - velocity_y * seconds)
    off /= (tail.height + head.height) / 2 * (_OFF + _OFF_A_SECOND * seconds)
    grown = np.log(head.height / tail.height) / _HEIGHT_RATIO
    return float((off**2 + grown**2) / 2 + _GAP_COST_A_SECOND * seconds)


def _chosen(found: Sequence[Join]) -> Iterator[Join]:
    """One assignment for each group of tracks between which there are candidates; groups are small."""
    if not found:
        return
    tracks = np.unique([(each.before, each.after) for each in found])
    links = np.searchsorted(tracks, [(each.before, each.after) for each in found])
    graph = coo_array((np.ones(len(found)), links.T), shape=(len(tracks), len(tracks)))
    groups: dict[int, list[Join]] = defaultdict(list)
    labels = connected_components(graph, directed=False)[1]
    for each, (before, _) in zip(found, links.tolist(), strict=True):
        groups[int(labels[before])].append(each)
    for group in groups.values():
        befores, afters = (sorted({row[at] for row in ((e.before, e.after) for e in group)}) for at in (0, 1))
        by_pair = {(befores.index(each.before), afters.index(each.after)): each for each in group}
        costs = np.full((len(befores), len(afters)), _LEFT_ALONE)
        for pair, each in by_pair.items():
            costs[pair] = each.cost
        for pair in zip(*(side.tolist() for side in linear_sum_assignment(costs)), strict=True):
            if pair in by_pair:
                yield by_pair[pair]
