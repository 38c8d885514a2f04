"""Which of two hours of the same name chunks belong to, where clocks were put back and names do not say: by the chunks around them."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from throughline.domain.footage import ChunkTime, TimeSource
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.ingest.names import AMBIGUITY_NS, FileNameTimes
from throughline.ingest.survey import Surveyed, order

_SOON_NS = 2 * 3600 * NS_PER_SECOND
"""Where uploads follow the recording, each chunk is there within so long after its start."""
_FAR = 1.5
"""Chunks further apart than so many times what is usual have a gap between them."""
_OFF_PACE = 0.25
"""A chunk comes as much earlier or later than the pace says, at most, as a share of the time between two."""

_Timed = tuple[Surveyed, ChunkTime]


def settle(surveyed: Sequence[Surveyed], names: FileNameTimes) -> list[Surveyed]:
    """The same chunks, in order, those of the second hour moved into it.

    surveyed: in order, all by the first hour. What tells, in this order: when chunks were uploaded, where uploads follow the
    recording; that two state the same time, of which the one with the longer name, such as `... (1)`, is the second; where chunks
    lie closer together than the recorder makes them, its pace from before the hour on; and whether a run of chunks goes on from
    those before the hour or goes over into those after it. Where nothing tells it is the first hour.
    """
    timed = [(one, one.time) for one in surveyed if one.time is not None]
    again = {one.chunk.name: again_ns for one, time in timed if (again_ns := _again_ns(one, time, names))}
    if not again:
        return list(surveyed)
    once = [(one, time) for one, time in timed if one.chunk.name not in again]
    twice = [(one, time) for one, time in timed if one.chunk.name in again]
    second = _by_upload(once, twice, again)
    if second is None or _collide(twice, second):
        second = _by_neighbours(once, twice, again)
    moved = {
        one.chunk.name: replace(one, time=replace(time, start=time.start + again[one.chunk.name]))
        for one, time in twice
        if one.chunk.name in second
    }
    return sorted((moved.get(one.chunk.name, one) for one in surveyed), key=order)


def _again_ns(one: Surveyed, time: ChunkTime, names: FileNameTimes) -> int:
    doubtful = time.source is TimeSource.FILE_NAME and time.uncertainty_ns == AMBIGUITY_NS
    named = names.read(one.chunk.name) if doubtful else None
    return named.again_ns if named is not None else 0


def _by_upload(once: Sequence[_Timed], twice: Sequence[_Timed], again: dict[str, int]) -> set[str] | None:
    """Names of the second hour; None where uploads do not follow the recording."""
    usual = [_lag_ns(each) for each in once]
    least = min(again.values())
    if len(usual) < 2 or not 0 <= median(usual) <= _SOON_NS or max(usual) - min(usual) > least // 2:
        return None
    return {each[0].chunk.name for each in twice if _lag_ns(each) - median(usual) > again[each[0].chunk.name] / 2}


def _collide(twice: Sequence[_Timed], second: set[str]) -> bool:
    """Whether two chunks would lie at one time."""
    return len({(time.start, one.chunk.name in second) for one, time in twice}) < len(twice)


def _lag_ns(each: _Timed) -> int:
    return each[0].chunk.last_modified - each[1].start


def _by_neighbours(once: Sequence[_Timed], twice: Sequence[_Timed], again: dict[str, int]) -> set[str]:
    """Names of the second hour, by what else there is."""
    same: dict[Instant, list[_Timed]] = defaultdict(list)
    for each in sorted(twice, key=lambda each: (len(each[0].chunk.name), order(each[0]))):
        same[each[1].start].append(each)
    second: set[str] = set()
    known = [time.start for _, time in once]
    for start, pair in same.items():
        if len(pair) == 2:
            name = pair[1][0].chunk.name
            second.add(name)
            known += [start, start + again[name]]
    alone = sorted((each[0] for each in same.values() if len(each) == 1), key=lambda each: order(each[0]))
    trail = _trail(alone, once, again)
    second.update(name for name, is_second in trail.items() if is_second)
    known += [each[1].start + again[name] * trail[name] for each in alone if (name := each[0].chunk.name) in trail]
    alone = [each for each in alone if each[0].chunk.name not in trail]
    for run in _runs(alone, [time.start for _, time in (*once, *twice)]):
        later_ns = again[run[0][0].chunk.name]
        first, last = run[0][1].start, run[-1][1].start
        before = min((first - each for each in known if each < first), default=later_ns)
        after = min((each - last - later_ns for each in known if each > last + later_ns), default=later_ns)
        moved = after < min(before, later_ns)
        known += [time.start + later_ns * moved for _, time in run]
        if moved:
            second.update(one.chunk.name for one, _ in run)
    return second


def _trail(alone: Sequence[_Timed], once: Sequence[_Timed], again: dict[str, int]) -> dict[str, bool]:
    """Where chunks of both hours lie between each other: by name whether it is of the second hour, for those that one after the other
    go on from the last one before the hour at the recorder's own pace."""
    starts = sorted(time.start for _, time in once)
    apart = [later - one for one, later in pairwise(starts) if later > one]
    pace_ns = median(apart) if apart else 0
    if not any(later[1].start - one[1].start < pace_ns / _FAR for one, later in pairwise(alone)):
        return {}
    left = sorted(
        (each[1].start + again[each[0].chunk.name] * is_second, each[0].chunk.name, is_second)
        for each in alone
        for is_second in (False, True)
    )
    found: dict[str, bool] = {}
    at = max((start for start in starts if start < alone[0][1].start), default=alone[0][1].start + -round(pace_ns))
    while True:
        expected = at + round(pace_ns)
        row = bisect_left(left, expected, key=lambda each: each[0])
        near = min(left[max(0, row - 1) : row + 1], key=lambda each: abs(each[0] - expected), default=None)
        if near is None or abs(near[0] - expected) > pace_ns * _OFF_PACE:
            return found
        at, name, found[name] = near[0], near[1], near[2]
        left = [each for each in left if each[1] != name]


def _runs(chunks: Sequence[_Timed], starts: Sequence[Instant]) -> Iterator[list[_Timed]]:
    """Chunks that follow each other at no more than what is usual between any of `starts`."""
    apart = [later - one for one, later in pairwise(sorted(starts)) if later > one]
    most_ns = _FAR * median(apart) if apart else 0
    run: list[_Timed] = []
    for each in chunks:
        if run and each[1].start - run[-1][1].start > most_ns:
            yield run
            run = []
        run.append(each)
    if run:
        yield run
