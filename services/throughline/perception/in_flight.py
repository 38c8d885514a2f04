"""Several requests under way at once, their answers in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_flight(requests: Iterable[tuple[T, Callable[[], Future[R]]]], limit: int) -> Iterator[tuple[T, R]]:
    """Each subject with the answer to its request, in order, while up to `limit` requests are under way.

    The next subject is made while the ones before it wait for their answers: so decoding and inference overlap.
    """
    waiting: deque[tuple[T, Future[R]]] = deque()
    try:
        for subject, send in requests:
            waiting.append((subject, send()))
            if len(waiting) >= limit or waiting[0][1].done():
                first, answer = waiting.popleft()
                yield first, answer.result()
        while waiting:
            first, answer = waiting.popleft()
            yield first, answer.result()
    finally:
        for _, answer in waiting:
            answer.cancel()
