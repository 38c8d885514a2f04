"""Several requests under way at once, their answers in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_flight(
    requests: Iterable[tuple[T, Callable[[], Future[R]]]], limit: int, burst: int = 1
) -> Iterator[tuple[T, R]]:
    """Each subject with the answer to its request, in order, while up to `limit` requests are under way.

    The next subjects are made while those before wait for their answers: so decoding and inference overlap. Where subjects come
    slowly, a `burst` of several is sent at once, so that the server has something to batch.
    """
    waiting: deque[tuple[T, Future[R]]] = deque()
    coming = iter(requests)
    try:
        while ready := list(islice(coming, burst)):
            waiting.extend((subject, send()) for subject, send in ready)
            while waiting and (len(waiting) >= limit or waiting[0][1].done()):
                first, answer = waiting.popleft()
                yield first, answer.result()
        while waiting:
            first, answer = waiting.popleft()
            yield first, answer.result()
    finally:
        for _, answer in waiting:
            answer.cancel()
