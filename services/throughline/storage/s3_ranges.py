"""Reading an object of S3 without a copy of it: blocks that are fetched several at a time, ahead of whoever reads them."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Protocol, Self

from throughline.domain.errors import Cancelled, DependencyUnavailable
from throughline.storage.attention import LOOK_SECONDS, Backoff
from throughline.storage.s3_transfer import BLOCK_BYTES, BROKEN, Source

RANGE_BYTES = 2 * 2**20
"""Asked of S3 in one go."""
AHEAD = 4
"""Blocks fetched beyond the one that is read."""
_BEHIND = 2
"""Blocks kept before it; FFmpeg goes back a little between streams."""


class RangeGetter(Protocol):
    """Asks for the bytes [begin, end) of a source; answers with where they were found, and S3's answer."""

    def __call__(
        self, asked: Source, begin: int, end: int, check: Callable[[], None]
    ) -> tuple[Source, dict[str, Any]]: ...


class OpenRanges:
    """An object of S3 being read, by one thread. At most 2 * `AHEAD` + `_BEHIND` + 3 blocks of it are in memory.

    The last block is kept all along: the index of a film is read first and often lies there. Blocks are digested in their order.
    """

    def __init__(self, get: RangeGetter, source: Source, seconds: float, check: Callable[[], None]) -> None:
        """`source` is pinned to an ETag and a size. A block is given up once nothing of it has come for `seconds`."""
        self._get = get
        self._source = source
        self._seconds = seconds
        self._check = check
        self._size = source.pin.size_bytes or 0
        self._last = max(0, self._size - 1) // RANGE_BYTES
        self._place = 0
        self._blocks: dict[int, Future[bytes]] = {}
        self._digest = hashlib.sha256()
        self._digested = 0
        self._closed = threading.Event()
        self.version_id = ""
        """Of what is read, where the bucket keeps versions."""

    @property
    def content(self) -> Self:
        return self

    def prepare(self, check: Callable[[], None]) -> None:
        self._wanted(0)
        self._block(0, check)

    def read(self, count: int) -> bytes:
        number, offset = divmod(self._place, RANGE_BYTES)
        if self._place >= self._size:
            return b""
        self._wanted(number)
        data = self._block(number, self._check)[offset : offset + count]
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def sha256(self) -> str:
        while self._digested <= self._last and self._size:
            self._wanted(self._digested)
            self._block(self._digested, self._check)
        return self._digest.hexdigest()

    def close(self) -> None:
        self._closed.set()
        self._blocks = {}

    def _wanted(self, number: int) -> None:
        """Begin to fetch a block and those after it, and let go of those that lie far from it."""
        for each in range(number, min(number + AHEAD, self._last) + 1):
            if each not in self._blocks:
                future = self._blocks[each] = Future()
                threading.Thread(target=self._fulfil, args=(future, each), name="range", daemon=True).start()
        for each in list(self._blocks):
            is_near = number - _BEHIND <= each <= number + AHEAD
            if not (is_near or self._digested <= each <= self._digested + AHEAD or each == self._last):
                del self._blocks[each]

    def _block(self, number: int, check: Callable[[], None]) -> bytes:
        future = self._blocks[number]
        while not future.done():
            check()
            wait([future], LOOK_SECONDS)
        data = future.result()
        if number == self._digested:
            self._digest.update(data)
            self._digested += 1
        return data

    def _fulfil(self, future: Future[bytes], number: int) -> None:
        try:
            begin = number * RANGE_BYTES
            future.set_result(self._fetch(begin, min(begin + RANGE_BYTES, self._size)))
        except BaseException as error:
            future.set_exception(error)

    def _fetch(self, begin: int, end: int) -> bytes:
        """The bytes [begin, end). A connection that breaks is made anew from the byte where it broke."""
        found = bytearray()
        backoff = Backoff(self._go_on, self._seconds)
        problem: object = None
        while len(found) < end - begin:
            self._source, answer = self._get(self._source, begin + len(found), end, self._go_on)
            self.version_id = answer.get("VersionId", "")
            length = answer.get("ContentLength")
            if length == end - begin - len(found):
                before = len(found)
                problem = self._copy(answer["Body"], found)
                if len(found) > before:
                    backoff.reset()
                    continue
            else:
                answer["Body"].close()
                problem = f"it gives {length} bytes where {end - begin - len(found)} were asked for"
            if len(found) < end - begin and not backoff.pause():
                raise DependencyUnavailable(
                    f"S3 stopped after {begin + len(found)} of the {self._size} bytes of {self._source.uri}: {problem}"
                )
        return bytes(found)

    def _copy(self, body: Any, found: bytearray) -> Exception | None:
        """Take what comes; return what broke it off."""
        while True:
            self._go_on()
            try:
                block = body.read(BLOCK_BYTES)
            except BROKEN as error:
                return error
            if not block:
                body.close()
                return None
            found += block

    def _go_on(self) -> None:
        """Raise where nobody waits any more."""
        self._check()
        if self._closed.is_set():
            raise Cancelled("nobody waits for it any more")
