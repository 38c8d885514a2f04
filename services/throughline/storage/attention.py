"""Calls to what may stall or fail for a while: their callers can stop at any moment, and what may pass is tried again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from throughline.domain.errors import DependencyUnavailable
from throughline.storage.object_store import go_on

R = TypeVar("R")

LOOK_SECONDS = 0.1
"""Between two looks at whether to stop."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0


def attentive(call: Callable[[], R], check: Callable[[], None]) -> R:
    """Result of a call that may block. What `check` raises is raised within a moment, and the call is left to end by itself.

    So the call must touch nothing that its caller cleans up.
    """
    if check is go_on:
        return call()
    future: Future[R] = Future()
    threading.Thread(target=_fulfil, args=(future, call), name="attended", daemon=True).start()
    while not future.done():
        check()
        wait([future], LOOK_SECONDS)
    return future.result()


def patient(call: Callable[[], R], check: Callable[[], None], seconds: float) -> R:
    """Result of a call that is tried again, with growing pauses, for as long as it is unavailable, until `seconds` have passed."""
    backoff = Backoff(check, seconds)
    while True:
        try:
            return call()
        except DependencyUnavailable:
            if not backoff.pause():
                raise


class Backoff:
    """Growing pauses between attempts, for `seconds` from the first failure on. `check` is called all the while."""

    def __init__(self, check: Callable[[], None], seconds: float) -> None:
        self._check = check
        self._seconds = seconds
        self.reset()

    def reset(self) -> None:
        """Something came of an attempt: begin anew."""
        self._next = FIRST_PAUSE_SECONDS
        self._until: float | None = None

    def pause(self) -> bool:
        """Wait before the next attempt, or answer False where time is up."""
        if self._until is None:  # however long the first attempt took
            self._until = time.monotonic() + self._seconds
        left = self._until - time.monotonic()
        if left <= 0:
            return False
        end = time.monotonic() + min(self._next, left)
        self._next = min(2 * self._next, LONGEST_PAUSE_SECONDS)
        while (rest := end - time.monotonic()) > 0:
            self._check()
            time.sleep(min(rest, LOOK_SECONDS))
        return True


def _fulfil(future: Future[R], call: Callable[[], R]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
