"""Long work behind a streaming RPC: its steps and results go out as they come, and it stops when nobody listens any more."""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import grpc

from throughline.domain.errors import Cancelled, DeadlineExceeded
from throughline.domain.work import Step, Work

R = TypeVar("R")

STEP_SECONDS = 0.2
"""Steps closer together than this are left out, all but the latest."""


def work_for(context: grpc.ServicerContext) -> Work:
    """Work of a unary RPC, asked to stop when its caller cancels, goes away or has waited too long."""
    work = Work()
    if not context.add_callback(work.cancel):
        raise Cancelled("the caller went away before the work began")
    return work


def stream(context: grpc.ServicerContext, task: Callable[[Work], R]) -> Iterator[Step | R]:
    """Run `task` in a thread; yield its steps, at most about five a second, and its result last.

    When the caller cancels, goes away or its deadline passes, the work is asked to stop; what `task` raises is raised here.
    """

    def run(work: Work, emit: Callable[[R], None]) -> None:
        emit(task(work))

    return stream_events(context, run)


def stream_events(
    context: grpc.ServicerContext, task: Callable[[Work, Callable[[R], None]], None]
) -> Iterator[Step | R]:
    """Like `stream` for a task with several results: each that it emits is yielded, in order; only steps may be left out."""
    channel: _Channel[R] = _Channel()
    work = Work(on_step=channel.step)
    if not context.add_callback(work.cancel):
        raise Cancelled("the caller went away before the work began")
    scope = contextvars.copy_context()
    thread = threading.Thread(target=scope.run, args=(channel.run, task, work), name="work", daemon=True)
    thread.start()
    try:
        yield from channel.events()
        thread.join()
    except Cancelled as error:
        left = context.time_remaining()
        if left is not None and left <= 0:
            raise DeadlineExceeded("the work took longer than its caller allowed; allow more time") from error
        raise
    finally:
        work.cancel()


class _Channel(Generic[R]):
    """From the working thread to the one that answers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._results: deque[R] = deque()
        self._step: Step | None = None
        self._ended = False
        self._error: BaseException | None = None

    def step(self, step: Step) -> None:
        with self._changed:
            self._step = step
            self._changed.notify()

    def emit(self, result: R) -> None:
        with self._changed:
            self._results.append(result)
            self._changed.notify()

    def run(self, task: Callable[[Work, Callable[[R], None]], None], work: Work) -> None:
        try:
            task(work, self.emit)
        except BaseException as error:
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify()

    def events(self) -> Iterator[Step | R]:
        next_step = 0.0
        while True:
            with self._changed:
                self._wait(next_step)
                results, self._results = self._results, deque()
                step, ended = None, self._ended
                if self._step and (ended or time.monotonic() >= next_step):
                    step, self._step = self._step, None
                    next_step = time.monotonic() + STEP_SECONDS
            if step and not (ended and self._error):
                yield step
            yield from results
            if ended:
                if self._error:
                    raise self._error
                return

    def _wait(self, next_step: float) -> None:
        """Wait for a result, the end, or a step whose time has come."""
        while not (self._ended or self._results):
            left = next_step - time.monotonic()
            if self._step and left <= 0:
                return
            self._changed.wait(max(left, 0.0) if self._step else None)
