"""What the running thread works for: its job, camera and request, known to every log line and to the calls that it makes."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, TypeVar

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Subject:
    """Each is empty where there is none."""

    job: str = ""
    camera: str = ""
    request: str = ""
    """The caller's request_id, or the id that one call has through all services."""


_NOTHING = Subject()
_subject: ContextVar[Subject] = ContextVar("subject", default=_NOTHING)


def subject() -> Subject:
    """Of the running thread."""
    return _subject.get()


def set_subject(of_call: Subject) -> None:
    """For the rest of the present context, which belongs to one call."""
    _subject.set(of_call)


@contextmanager
def working_for(**changes: str) -> Iterator[None]:
    """Within the block the thread works for this job=, camera= or request=; what is not named stays as it is."""
    token = _subject.set(replace(_subject.get(), **changes))
    try:
        yield
    finally:
        _subject.reset(token)


def carried(function: Callable[..., R]) -> Callable[..., R]:
    """`function` for another thread: it runs there with the subject and the trace of this one. Each is good for one run."""
    context = contextvars.copy_context()

    def run(*args: Any) -> R:
        return context.run(function, *args)

    return run
