"""Several requests under way at once, their answers in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import closing
from typing import TypeVar

from throughline.perception.ahead import made_ahead
from throughline.storage.object_store import go_on

T = TypeVar("T")
R = TypeVar("R")

_CHECK_SECONDS = 0.2


def in_flight(
    requests: Iterable[tuple[T, Callable[[], Future[R]]]], limit: int, check: Callable[[], None] = go_on
) -> Generator[tuple[T, R], None, None]:
    """Each subject with the answer to its request, in order, while up to `limit` requests are under way.

    Subjects are made and sent in a thread of their own: so decoding, inference and what is done with the answers overlap. `check` is
    called while an answer is waited for; what it raises ends that.
    """
    under_way: deque[Future[R]] = deque()

    def sent() -> Iterator[tuple[T, Future[R]]]:
        for subject, send in requests:
            answer = send()
            under_way.append(answer)
            yield subject, answer

    try:
        with closing(made_ahead(sent(), limit)) as coming:
            for subject, answer in coming:
                found = awaited(answer, check)
                under_way.popleft()
                yield subject, found
    finally:
        for answer in under_way:
            answer.cancel()


def awaited(answer: Future[R], check: Callable[[], None]) -> R:
    """An answer, as soon as it is there."""
    while not wait((answer,), _CHECK_SECONDS).done:
        check()
    return answer.result()
