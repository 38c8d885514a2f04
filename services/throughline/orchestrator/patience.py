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
from throughline.domain.time import NS_PER_SECOND, seconds_to_ns
from throughline.orchestrator.inflight import Errand, JobEnded
from throughline.orchestrator.waits import StepId, Wait, Waits

R = TypeVar("R")
_TELL_NS = 10 * NS_PER_SECOND
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Pauses between attempts double from `first_seconds` to `most_seconds`; it ends after `seconds` of waiting.

    Pauses and attempts that came no farther than those before are waiting; after one that did, patience begins anew.
    """

    first_seconds: float
    most_seconds: float
    seconds: float
    unexplained_attempts: int
    """After so many failures in a row of which nobody knows what they are, such as a crash of the other side's code, it ends, too."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where the waiting of one step is kept; `on_long` is told once that it takes long."""

    waits: Waits
    step: StepId
    on_long: Callable[[ThroughlineError], None]


def insist(errand: Errand, attempt: Callable[[], R], patience: Patience, waiting: Waiting) -> R:
    """Call `attempt` until it ends well, fails for good, or patience ends. Who comes after a restart goes on waiting where it was.

    Raises the last ThroughlineError, and whatever the errand was stopped with.
    """
    wait = waiting.waits.get(waiting.step)
    errand.reached.update(wait.reached if wait else {})
    try:
        result, wait = _insist(errand, attempt, patience, waiting, wait)
    except (ThroughlineError, JobEnded):
        waiting.waits.end(waiting.step)
        raise
    if wait is not None:
        waiting.waits.end(waiting.step)
    return result


def _insist(
    errand: Errand, attempt: Callable[[], R], patience: Patience, waiting: Waiting, wait: Wait | None
) -> tuple[R, Wait | None]:
    """The result, and how it was waited for."""
    told, unexplained = False, 0
    while True:
        if wait is not None:
            left_seconds = (wait.next_ns - time.time_ns()) / NS_PER_SECOND
            errand.sleep(
                min(max(0.0, left_seconds), patience.most_seconds)
            )  # no more, should the clock have been set back
        errand.check()
        began, errand.has_advanced = time.monotonic(), False
        try:
            return attempt(), wait
        except (ThroughlineError, OperationalError) as problem:
            errand.check()
            error = _plain(problem)
            if not _may_pass(error):
                raise error from problem
            wait = _longer(wait, error, errand, patience, time.monotonic() - began)
            unexplained = (0 if errand.has_advanced else unexplained) + 1 if _is_unexplained(error) else 0
            if wait.spent_seconds > patience.seconds or unexplained >= patience.unexplained_attempts:
                raise _given_up(error, wait) from problem
            told = _keep(waiting, wait, error, told)


def _longer(
    wait: Wait | None, error: ThroughlineError, errand: Errand, patience: Patience, attempt_seconds: float
) -> Wait:
    """The wait after one more attempt, which took so long and failed."""
    now_ns = time.time_ns()
    since_ns, attempts, spent_seconds = now_ns, 0, 0.0
    if wait is not None and not errand.has_advanced:
        since_ns, attempts, spent_seconds = wait.since_ns, wait.attempts, wait.spent_seconds + attempt_seconds
    pause_seconds = min(patience.first_seconds * 2.0 ** min(attempts, 60), patience.most_seconds)
    pause_seconds *= random.uniform(0.7, 1.0)  # noqa: S311 - spreads attempts, keeps no secret
    return Wait(
        reason=str(error),
        since_ns=since_ns,
        attempts=attempts + 1,
        next_ns=now_ns + seconds_to_ns(pause_seconds),
        spent_seconds=spent_seconds + pause_seconds,
        reached=dict(errand.reached),
    )


def _keep(waiting: Waiting, wait: Wait, error: ThroughlineError, told: bool) -> bool:
    """Write the wait down, and tell of it where it has become long; return whether it was told of."""
    _log.warning("job %s: %s; attempt %d comes next", waiting.step.job_id, error, wait.attempts + 1)
    try:
        waiting.waits.put(waiting.step, wait)
        if not told and wait.next_ns - wait.since_ns >= _TELL_NS:
            waiting.on_long(error)
            return True
    except OperationalError as problem:  # it is the database itself that is waited for
        _log.warning("job %s: what it waits for was not kept: %s", waiting.step.job_id, problem.orig)
    return told


def _given_up(error: ThroughlineError, wait: Wait) -> ThroughlineError:
    hours, seconds = divmod(round(wait.spent_seconds), 3600)
    after = f"{hours} h {seconds // 60} min" if hours else f"{seconds} s"
    return DependencyUnavailable(f"{error}; given up after {wait.attempts} attempts in {after}")


def _plain(problem: ThroughlineError | OperationalError) -> ThroughlineError:
    if isinstance(problem, ThroughlineError):
        return problem
    return DependencyUnavailable(f"the orchestrator's database does not answer: {problem.orig}")


def _may_pass(error: ThroughlineError) -> bool:
    """A call that was cancelled, though not by us, fell with its server."""
    return error.retryable or isinstance(error, Cancelled) or _is_unexplained(error)


def _is_unexplained(error: ThroughlineError) -> bool:
    """INTERNAL, UNKNOWN and the like: as often a process that is in trouble as a bug that is met again each time."""
    return type(error) is ThroughlineError
