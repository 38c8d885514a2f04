"""The first look at a camera's chunks: which are still there, and when each was taken, in order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from throughline.domain.errors import SourceArchived
from throughline.domain.footage import ChunkObject, ChunkTime
from throughline.domain.time import Instant, Interval
from throughline.domain.work import Work
from throughline.ingest.chunk_times import TimeRules, time_from_content
from throughline.ingest.fetching import in_order, open_chunk, scanned
from throughline.ingest.loss import LOSSES, Loss
from throughline.media.clip import UnusableClip
from throughline.storage.object_store import ObjectStore

LOOKS_AT_ONCE = 8
UNIT = "chunks looked at"


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A chunk with its time, or without one and with what is wrong with it."""

    chunk: ChunkObject
    time: ChunkTime | None
    code: str = ""
    problem: str = ""

    @classmethod
    def lost(cls, chunk: ChunkObject, loss: Loss) -> Surveyed:
        return cls(chunk, None, loss.code, loss.problem)


def survey(objects: ObjectStore, chunks: Sequence[ChunkObject], rules: TimeRules, work: Work) -> Iterator[Surveyed]:
    """Each chunk with its time, or with the reason why it has none.

    Only a chunk whose metadata and name state no time is looked into.
    """

    def look(chunk: ChunkObject, check: Callable[[], None]) -> Surveyed:
        try:
            return _look(objects, chunk, rules, check)
        except LOSSES as error:
            return Surveyed.lost(chunk, Loss.of(error))

    with closing(in_order(look, chunks, LOOKS_AT_ONCE, work)) as found:
        for done, one in enumerate(found, 1):
            work.report(done, len(chunks), UNIT)
            yield one


def within(surveyed: Sequence[Surveyed], window: Interval | None, slack_ns: int) -> list[Surveyed]:
    """Those that may hold a moment of `window`, give or take `slack_ns`.

    Each is taken to last until the next one that starts later and is not much smaller: a small one may lie within it, or be broken.
    """
    if window is None:
        return list(surveyed)
    chosen = []
    for index, one in enumerate(surveyed):
        if one.time is None:
            chosen.append(one)
            continue
        slack = slack_ns + one.time.uncertainty_ns
        ends = _start_of_next(one, one.time, islice(surveyed, index + 1, None))
        if one.time.start + -slack < window.end and (ends is None or ends + slack > window.start):
            chosen.append(one)
    return chosen


def _start_of_next(one: Surveyed, time: ChunkTime, later: Iterable[Surveyed]) -> Instant | None:
    for other in later:
        is_alike = 2 * other.chunk.size_bytes >= one.chunk.size_bytes
        if other.time is not None and other.time.start > time.start and is_alike:
            return other.time.start
    return None


def _look(objects: ObjectStore, chunk: ChunkObject, rules: TimeRules, check: Callable[[], None]) -> Surveyed:
    info = objects.head(chunk.uri, etag=chunk.etag, check=check)
    if info.is_archived:
        raise SourceArchived(f"{chunk.uri} lies in an archive")
    time = rules.stated(chunk, info.metadata)
    if time is not None:
        return Surveyed(chunk, time)
    try:
        with scanned(open_chunk(objects, chunk, check, check)) as scan:
            return Surveyed(chunk, time_from_content(chunk, scan))
    except UnusableClip as error:
        return Surveyed(chunk, None, error.code, str(error))


def order(one: Surveyed) -> tuple[bool, int, str]:
    """By time and then name; those without a time come last."""
    return one.time is None, one.time.start.ns if one.time else 0, one.chunk.name
