"""Which of two hours of the same name chunks belong to, where clocks were put back and names do not say: by the chunks around them."""

from __future__ import annotations

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

_Timed = tuple[Surveyed, ChunkTime]


def settle(surveyed: Sequence[Surveyed], names: FileNameTimes) -> list[Surveyed]:
    """The same chunks, in order, those of the second hour moved into it.

    surveyed: in order, all by the first hour. What tells, in this order: when chunks were uploaded, where uploads follow the
    recording; that two state the same time, of which the one with the longer name, such as `... (1)`, is the second; and whether
    a run of chunks goes on from those before the hour or goes over into those after it. Where nothing tells it is the first hour.
    """
    timed = [(one, one.time) for one in surveyed if one.time is not None]
    again = {one.chunk.name: again_ns for one, time in timed if (again_ns := _again_ns(one, time, names))}
    if not again:
        return list(surveyed)
    once = [(one, time) for one, time in timed if one.chunk.name not in again]
    twice = [(one, time) for one, time in timed if one.chunk.name in again]
    second = _by_upload(once, twice, again)
    if second is None:
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
