"""Doing again what failed for a reason that may pass, with growing pauses, for as long as patience lasts."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from throughline.domain.errors import Cancelled, DependencyUnavailable, ThroughlineError
from throughline.orchestrator.inflight import Errand

R = TypeVar("R")
_TELL_SECONDS = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Pauses between attempts, doubling from `first_seconds` to `most_seconds`; it ends `give_up_seconds` after the last sign of life."""

    first_seconds: float
    most_seconds: float
    give_up_seconds: float


def insist(
    errand: Errand, attempt: Callable[[], R], patience: Patience, on_waiting: Callable[[ThroughlineError], None]
) -> R:
    """Call `attempt` until it ends well, fails for good, or patience ends; `on_waiting` is told once that it takes long.

    Raises the last ThroughlineError, and whatever the errand was stopped with.
    """
    failing_since, told, pause = None, False, patience.first_seconds
    while True:
        errand.check()
        try:
            return attempt()
        except (ThroughlineError, OperationalError) as problem:
            errand.check()
            error = _plain(problem)
            if not _may_pass(error):
                raise error from problem
            now = time.monotonic()
            if failing_since is None or errand.heard_at > failing_since + pause:  # it got somewhere meanwhile
                failing_since, pause = now, patience.first_seconds
            if now - failing_since >= patience.give_up_seconds:
                raise error from problem
            _log.warning("job %s: %s; next attempt in about %.1f s", errand.job_id, error, pause)
            if not told and now - failing_since >= _TELL_SECONDS:
                told = True
                on_waiting(error)
        errand.sleep(pause * random.uniform(0.7, 1.0))  # noqa: S311 - spreads attempts, keeps no secret
        pause = min(2 * pause, patience.most_seconds)


def _plain(problem: ThroughlineError | OperationalError) -> ThroughlineError:
    if isinstance(problem, ThroughlineError):
        return problem
    return DependencyUnavailable(f"the orchestrator's database does not answer: {problem.orig}")


def _may_pass(error: ThroughlineError) -> bool:
    """A call that was cancelled, though not by us, fell with its server."""
    return error.retryable or isinstance(error, Cancelled)
