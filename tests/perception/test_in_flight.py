"""Answers come in order while several requests are under way; nothing is left running after an error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from throughline.domain.errors import Cancelled
from throughline.perception.in_flight import in_flight


class Server:
    """Answers with the square."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def requests(self, count: int) -> Iterator[tuple[int, Callable[[], Future[int]]]]:
        for number in range(count):
            yield number, lambda number=number: self._send(number)  # type: ignore[misc]

    def _send(self, number: int) -> Future[int]:
        self.sent.append(number)
        future: Future[int] = Future()
        future.set_result(number**2)
        return future


@pytest.mark.parametrize("limit", [1, 4, 8])
def test_answers_stand_with_their_subjects_in_order(limit: int) -> None:
    with ThreadPoolExecutor(4) as pool:
        requests = ((number, lambda number=number: pool.submit(pow, number, 2)) for number in range(50))
        assert list(in_flight(requests, limit)) == [(number, number**2) for number in range(50)]


def test_no_more_than_the_limit_are_under_way() -> None:
    server = Server()
    for taken, _ in enumerate(in_flight(server.requests(40), limit=4)):
        assert len(server.sent) <= taken + 4
    assert len(server.sent) == 40


def test_while_an_answer_is_worked_on_the_server_gets_more() -> None:
    server, made = Server(), threading.Event()

    def requests() -> Iterator[tuple[int, Callable[[], Future[int]]]]:
        for number, send in server.requests(40):
            if number == 9:
                made.set()
            yield number, send

    answers = in_flight(requests(), limit=8)
    assert [next(answers) for _ in range(3)] == [(0, 0), (1, 1), (2, 4)]
    assert made.wait(10), "though nobody takes the next answer"
    assert server.sent[:9] == list(range(9))
    answers.close()


def test_whoever_takes_no_more_cancels_what_is_under_way() -> None:
    futures: list[Future[int]] = [Future() for _ in range(3)]
    futures[0].set_result(5)
    sent = threading.Event()

    def send(number: int) -> Future[int]:
        if number == 2:
            sent.set()
        return futures[number]

    answers = in_flight([(number, partial(send, number)) for number in range(3)], limit=3)
    assert next(answers) == (0, 5)
    assert sent.wait(10)
    answers.close()
    assert [future.cancelled() for future in futures] == [False, True, True]


def test_an_error_is_raised_where_its_answer_was_due_and_the_rest_is_cancelled() -> None:
    futures: list[Future[int]] = [Future() for _ in range(4)]

    def send(number: int) -> Future[int]:
        if number == 3:
            futures[0].set_exception(ValueError("the first one"))
        return futures[number]

    requests = ((number, lambda number=number: send(number)) for number in range(4))
    with pytest.raises(ValueError, match="the first one"):
        list(in_flight(requests, limit=4))
    assert [future.cancelled() for future in futures] == [False, True, True, True]


def test_waiting_ends_with_what_the_check_raises_and_drops_the_rest() -> None:
    answers: list[Future[int]] = [Future(), Future()]
    checks: list[int] = []

    def check() -> None:
        checks.append(1)
        if len(checks) == 2:
            raise Cancelled("stopped on request")

    coming = iter(answers)
    with pytest.raises(Cancelled):
        list(in_flight([(number, lambda: next(coming)) for number in range(2)], 2, check=check))
    assert all(answer.cancelled() for answer in answers)
