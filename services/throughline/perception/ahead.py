"""Items that are made in a thread of their own while those before are worked on, as frames are decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from throughline.wire.subject import carried

T = TypeVar("T")
THREAD_NAME = "made ahead"
_END: Final = object()


def made_ahead(items: Iterable[T], count: int) -> Generator[T, None, None]:
    """The items in order, of which up to `count` lie ready. What making one raises is raised in its place.

    Nothing more is made once this is closed, or once the last item was taken: `items` is then nobody else's, and can go on elsewhere.
    """
    making = iter(items)
    pool = ThreadPoolExecutor(1, thread_name_prefix=THREAD_NAME)

    def ask() -> Future[T]:
        return pool.submit(carried(next), making, _END)

    try:
        ready = deque(ask() for _ in range(count))
        while (item := ready.popleft().result()) is not _END:
            yield item
            ready.append(ask())
    finally:
        pool.shutdown(cancel_futures=True)
