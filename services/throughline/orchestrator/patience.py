"""Doing again what failed for a reason that may pass, with growing pauses, for as long as patience lasts."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from throughline.domain.errors import Cancelled, DeadlineExceeded, DependencyUnavailable, ThroughlineError
from throughline.orchestrator.inflight import Errand

R = TypeVar("R")
_TELL_SECONDS = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Pauses between attempts double from `first_seconds` to `most_seconds`; it ends after `seconds` of waiting.

    Pauses and calls that nobody answered are waiting; the time that a stage worked before it failed is not.
    """

    first_seconds: float
    most_seconds: float
    seconds: float


def insist(
    errand: Errand, attempt: Callable[[], R], patience: Patience, on_waiting: Callable[[ThroughlineError], None]
) -> R:
    """Call `attempt` until it ends well, fails for good, or patience ends; `on_waiting` is told once that it takes long.

    Raises the last ThroughlineError, and whatever the errand was stopped with.
    """
    spent, told, pause = 0.0, False, patience.first_seconds
    while True:
        errand.check()
        began = time.monotonic()
        try:
            return attempt()
        except (ThroughlineError, OperationalError) as problem:
            errand.check()
            error = _plain(problem)
            if isinstance(error, DeadlineExceeded):
                spent += time.monotonic() - began
            if not _may_pass(error) or spent >= patience.seconds:
                raise error from problem
            _log.warning("job %s: %s; next attempt in about %.1f s", errand.job_id, error, pause)
            if not told and spent >= _TELL_SECONDS:
                told = True
                on_waiting(error)
        errand.sleep(pause * random.uniform(0.7, 1.0))  # noqa: S311 - spreads attempts, keeps no secret
        spent += pause
        pause = min(2 * pause, patience.most_seconds)


def _plain(problem: ThroughlineError | OperationalError) -> ThroughlineError:
    if isinstance(problem, ThroughlineError):
        return problem
    return DependencyUnavailable(f"the orchestrator's database does not answer: {problem.orig}")


def _may_pass(error: ThroughlineError) -> bool:
    """A call that was cancelled, though not by us, fell with its server."""
    return error.retryable or isinstance(error, Cancelled)
