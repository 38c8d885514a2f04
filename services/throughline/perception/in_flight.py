"""Several requests under way at once, their answers in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from itertools import islice
from typing import TypeVar

from throughline.storage.object_store import go_on

T = TypeVar("T")
R = TypeVar("R")

_CHECK_SECONDS = 0.2
_GIVEN_FOR_EACH = 2
"""Answers, for each subject that is sent, at most: where many are there, the server must not wait until all are worked on."""


def in_flight(
    requests: Iterable[tuple[T, Callable[[], Future[R]]]],
    limit: int,
    burst: int = 1,
    check: Callable[[], None] = go_on,
) -> Iterator[tuple[T, R]]:
    """Each subject with the answer to its request, in order, while up to `limit` requests are under way.

    The next subjects are made while those before wait for their answers: so decoding and inference overlap. Where subjects come
    slowly, a `burst` of several is sent at once, so that the server has something to batch. `check` is called while it waits for an
    answer; what it raises ends that.
    """
    waiting: deque[tuple[T, Future[R]]] = deque()
    coming = iter(requests)
    try:
        while ready := list(islice(coming, burst)):
            waiting.extend((subject, send()) for subject, send in ready)
            for _ in range(_GIVEN_FOR_EACH * len(ready)):
                if not waiting or (len(waiting) < limit and not waiting[0][1].done()):
                    break
                yield take_first(waiting, check)
        while waiting:
            yield take_first(waiting, check)
    finally:
        for _, answer in waiting:
            answer.cancel()


def take_first(waiting: deque[tuple[T, Future[R]]], check: Callable[[], None]) -> tuple[T, R]:
    """Take the first subject and its answer, as soon as that is there."""
    subject, answer = waiting[0]
    while not wait((answer,), _CHECK_SECONDS).done:
        check()
    waiting.popleft()
    return subject, answer.result()
