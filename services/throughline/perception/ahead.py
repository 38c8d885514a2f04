"""Items that are made in a thread of their own while those before are worked on, as frames are decoded."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

from throughline.wire.subject import carried

T = TypeVar("T")


def made_ahead(items: Iterable[T], count: int) -> Generator[T, None, None]:
    """The items in order, of which up to `count` lie ready. What making one raises is raised in its place.

    Nothing more is made once this is closed, or once the last item was taken: `items` is then nobody else's, and can go on elsewhere.
    """
    maker = _Maker(iter(items), count)
    try:
        yield from maker.made()
    finally:
        maker.stop()


@dataclass(frozen=True, slots=True)
class _Ended:
    error: BaseException | None = None


class _Maker(Generic[T]):
    """A thread, what it has made, and the room that it has for more."""

    def __init__(self, items: Iterator[T], count: int) -> None:
        self._items = items
        self._room = threading.Semaphore(count)
        self._ready: SimpleQueue[T | _Ended] = SimpleQueue()
        self._stopped = False
        self._thread = threading.Thread(target=carried(self._make), name="made ahead", daemon=True)
        self._thread.start()

    def made(self) -> Iterator[T]:
        while True:
            item = self._ready.get()
            if isinstance(item, _Ended):
                if item.error is not None:
                    raise item.error
                return
            yield item
            self._room.release()

    def stop(self) -> None:
        self._stopped = True
        self._room.release()
        self._thread.join()

    def _make(self) -> None:
        try:
            while self._room.acquire() and not self._stopped:
                self._ready.put(next(self._items))
        except StopIteration:
            self._ready.put(_Ended())
        except BaseException as error:
            self._ready.put(_Ended(error))
