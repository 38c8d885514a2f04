"""Chunks on their way in: several at once, a bounded number on the disk, each read once and then removed."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from prometheus_client import Counter

from throughline.domain.errors import Cancelled
from throughline.domain.footage import ChunkObject
from throughline.domain.work import Work
from throughline.media.clip import UnusableClip
from throughline.media.probe import ClipInfo, probe
from throughline.storage.object_store import ObjectStore, Pin
from throughline.wire.subject import carried

T = TypeVar("T")
R = TypeVar("R")

_LOOK_SECONDS = 0.1
"""Between two looks at whether to stop, while waiting."""
_CHUNKS = Counter("throughline_chunks_fetched", "Chunks that arrived, by whether they give footage", ["usable"])
_BYTES = Counter("throughline_chunk_fetched_bytes", "Bytes of the chunks that arrived")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A chunk on this machine. `info` is an UnusableClip where it gives no footage."""

    path: Path
    sha256: str
    version_id: str
    info: ClipInfo | UnusableClip


@contextmanager
def fetched(objects: ObjectStore, chunk: ChunkObject, path: Path, check: Callable[[], None]) -> Iterator[Fetched]:
    """A chunk for as long as it is needed; raises what the store raises."""
    try:
        yield fetch(objects, chunk, path, check)
    finally:
        path.unlink(missing_ok=True)


def fetch(objects: ObjectStore, chunk: ChunkObject, path: Path, check: Callable[[], None]) -> Fetched:
    """Fetch and probe a chunk; what `check` raises ends it. An empty one is not even asked for."""
    if not chunk.size_bytes:
        return Fetched(path, "", "", UnusableClip("chunk_empty", "it has no bytes"))
    found = objects.fetch(chunk.uri, path, pin=Pin(chunk.etag, chunk.size_bytes), check=check)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    _BYTES.inc(chunk.size_bytes)
    info: ClipInfo | UnusableClip
    try:
        info = probe(path)
    except UnusableClip as error:
        info = error
    _CHUNKS.labels("no" if isinstance(info, UnusableClip) else "yes").inc()
    return Fetched(path, sha256, found.version_id, info)


def in_order(
    do: Callable[[T, Callable[[], None]], R], items: Sequence[T], at_once: int, work: Work
) -> Generator[R, None, None]:
    """Results of `do` in the order of `items`, at most `at_once` of them done or under way beyond the one yielded.

    It ends where `work` was cancelled, where `do` raises, and when it is closed, and nothing is under way any more then: `do` gets a
    check to call now and then, which raises Cancelled.
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


def _result(future: Future[R], check: Callable[[], None]) -> R:
    while True:
        check()
        try:
            return future.result(_LOOK_SECONDS)
        except NotYet:
            if future.done():
                return future.result()
