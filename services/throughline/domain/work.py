"""What a long piece of work may do while it runs: say how far it is, name what went wrong, and notice that it should stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from throughline.domain.errors import Cancelled


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that went wrong without sinking the job. `code` is for programs, `message` for people."""

    code: str
    subject: str
    message: str
    camera: str = ""


MOST_NAMED = 10
"""Incidents of one code that a stage tells of each for itself; so a job of many cameras and chunks stays small enough to be sent."""


def shortened(incidents: Iterable[Incident]) -> Iterator[Incident]:
    """Of each code the first `MOST_NAMED`, and one more that counts the others, which are of one camera."""
    by_code: dict[str, list[Incident]] = {}
    for incident in incidents:
        by_code.setdefault(incident.code, []).append(incident)
    for code, alike in by_code.items():
        yield from alike[:MOST_NAMED]
        others = alike[MOST_NAMED:]
        if others:
            message = f"{len(others)} more of the kind {code}, from {others[0].subject} to {others[-1].subject}"
            yield Incident(code, others[0].subject, message, others[0].camera)


@dataclass(frozen=True, slots=True)
class Step:
    """How far a piece of work is: `done` of `total` units (0 while unknown)."""

    done: int
    total: int
    unit: str


def _ignore(_: Step) -> None:
    return None


@dataclass(slots=True)
class Work:
    """Given to every long function; safe to use from several threads."""

    on_step: Callable[[Step], None] = _ignore
    stop: threading.Event = field(default_factory=threading.Event)

    def report(self, done: int, total: int, unit: str) -> None:
        """Say how far the work is, and stop here if that was asked for."""
        self.check()
        self.on_step(Step(done, total, unit))

    def check(self) -> None:
        """Raise Cancelled if somebody asked for a stop."""
        if self.stop.is_set():
            raise Cancelled("stopped on request")

    def cancel(self) -> None:
        """Ask for a stop; the work ends at its next check."""
        self.stop.set()
