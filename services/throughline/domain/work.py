"""What a long piece of work may do while it runs: say how far it is, name what went wrong, and notice that it should stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from throughline.domain.errors import Cancelled


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that went wrong without sinking the job. `code` is for programs, `message` for people."""

    code: str
    subject: str
    message: str
    camera: str = ""


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
