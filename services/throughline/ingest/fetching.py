"""Chunks on their way in: several at once, read where they lie, never copied to the disk."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import closing, contextmanager
from typing import TypeVar

from prometheus_client import Counter

from throughline.domain.errors import Cancelled
from throughline.domain.footage import ChunkObject
from throughline.domain.work import Work
from throughline.media.probe import ClipScan
from throughline.storage.object_store import ObjectStore, OpenObject, Pin
from throughline.wire.subject import carried

T = TypeVar("T")
R = TypeVar("R")

_LOOK_SECONDS = 0.1
"""Between two looks at whether to stop, while waiting."""
_CHUNKS = Counter("throughline_chunks_fetched", "Chunks that arrived, by whether they give footage", ["usable"])
_BYTES = Counter("throughline_chunk_fetched_bytes", "Bytes of the chunks that arrived")


def open_chunk(
    objects: ObjectStore, chunk: ChunkObject, check: Callable[[], None], check_reading: Callable[[], None]
) -> OpenObject:
    """A chunk that is ready to be read; raises what the store raises, as does reading it. An empty one is not even asked for.

    What `check` raises ends the wait for it, and what `check_reading` raises any later one.
    """
    file = objects.open(chunk.uri, pin=Pin(chunk.etag, chunk.size_bytes), check=check_reading)
    try:
        if chunk.size_bytes:
            file.prepare(check)
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def scanned(file: OpenObject) -> Iterator[ClipScan]:
    """A chunk's content for as long as it is needed. Raises UnusableClip where it gives no footage, and what reading raises."""
    with closing(file), ClipScan(file.content) as scan:
        yield scan


def count(chunk: ChunkObject, *, usable: bool) -> None:
    """Count a chunk that was read."""
    _CHUNKS.labels("yes" if usable else "no").inc()
    _BYTES.inc(chunk.size_bytes)


def in_order(
    do: Callable[[T, Callable[[], None]], R],
    items: Sequence[T],
    at_once: int,
    work: Work,
    drop: Callable[[R], None] = lambda _: None,
) -> Generator[R, None, None]:
    """Results of `do` in the order of `items`, at most `at_once` of them done or under way beyond the one yielded.

    It ends where `work` was cancelled, where `do` raises, and when it is closed, and nothing is under way any more then: `do` gets a
    check to call now and then, which raises Cancelled. Results that are not yielded any more are given to `drop`.
    """
    pool = ThreadPoolExecutor(at_once, "fetch")
    waiting: deque[Future[R]] = deque()
    closing = threading.Event()

    def check() -> None:
        work.check()
        if closing.is_set():
            raise Cancelled("nobody waits for it any more")

    upcoming = iter(items)
    try:
        while True:
            while len(waiting) < at_once and (item := next(upcoming, None)) is not None:
                waiting.append(pool.submit(carried(do), item, check))
            if not waiting:
                return
            yield _result(waiting.popleft(), work.check)
    finally:
        closing.set()
        pool.shutdown(wait=True, cancel_futures=True)
        for future in waiting:
            if not future.cancelled() and future.exception() is None:
                drop(future.result())


def _result(future: Future[R], check: Callable[[], None]) -> R:
    while True:
        check()
        try:
            return future.result(_LOOK_SECONDS)
        except NotYet:
            if future.done():
                return future.result()
