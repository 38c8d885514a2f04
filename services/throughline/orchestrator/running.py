"""Runs a job's steps: durably, with patience, and only as long as the job goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import Histogram

from throughline.domain.errors import ThroughlineError
from throughline.orchestrator.durable import Durable, UnexpectedStep
from throughline.orchestrator.inflight import Errand, InFlight, JobEnded
from throughline.orchestrator.jobs import Jobs
from throughline.orchestrator.patience import Patience, Waiting, insist
from throughline.orchestrator.waits import StepId, Waits
from throughline.v1.common_pb2 import Incident
from throughline.wire import tracing
from throughline.wire.metrics import LONG_SECONDS
from throughline.wire.subject import working_for

R = TypeVar("R")
_log = logging.getLogger(__name__)
_STEP_SECONDS = Histogram(
    "throughline_step_seconds",
    "Attempts at the steps of jobs; outcome is ok, or the name of the error",
    ["stage", "step", "outcome"],
    buckets=LONG_SECONDS,
)


class StageFailed(Exception):
    """A step failed for good; the text is for the job's readers. Its only argument, so that it can be kept and raised again."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is known of a step beforehand. `stage` is the one that it belongs to; unbound steps go on when their job has ended."""

    name: str
    stage: str
    patience: Patience
    bound: bool = True
    camera: str = ""
    """Empty where it is about the whole job."""
    number: int = 0
    """Tells steps of one name apart, such as one call for clips from the next."""


class Runner:
    """Steps and workflows of jobs, on one Durable."""

    def __init__(self, durable: Durable, in_flight: InFlight, jobs: Jobs, waits: Waits) -> None:
        self._durable = durable
        self._in_flight = in_flight
        self._jobs = jobs
        self._waits = waits

    def step(self, job_id: str, step: Step, act: Callable[[Errand], R]) -> R:
        """Do it, or return what it returned before. `act` may run more than once; it returns a plain value.

        Raises JobEnded, and StageFailed for a failure that patience can't mend.
        """

        def tell(error: ThroughlineError) -> None:
            message = f"{error}; it is tried again until it works"
            incident = Incident(code="waiting_for_service", subject=step.name, message=message)
            self._jobs.add_incidents(job_id, step.stage, [incident])

        step_id = StepId(job_id, step.name, step.stage, step.camera, step.number)
        waiting = Waiting(self._waits, step_id, tell)

        def attempt(errand: Errand) -> R:
            with _timed(step):
                if step.bound:
                    self._jobs.enter(job_id, step.stage)
                return act(errand)

        def run() -> R:
            with _traced(job_id, step), self._in_flight.errand(job_id, step.bound) as errand:
                try:
                    return insist(errand, lambda: attempt(errand), step.patience, waiting)
                except ThroughlineError as error:
                    raise StageFailed(str(error)) from error

        return self._durable.step(step.name, run)

    def workflow(self, job_id: str, body: Callable[[], None], fail: Callable[[str], None]) -> None:
        """Run a workflow's body to its end, whichever that is; `fail` is told why it failed."""
        try:
            body()
        except JobEnded:
            return
        except StageFailed as failure:
            reason = str(failure)
        except Exception as bug:
            with working_for(job=job_id):
                _log.exception("job %s: a bug; please report it", job_id)
            reason = f"internal error: {type(bug).__name__}: {bug}; the orchestrator's log has the details"
        else:
            return

        def run() -> None:
            with self._in_flight.errand(job_id, bound=False):
                fail(reason)

        try:
            self._durable.step("fail", run)
        except UnexpectedStep:  # the job must not stand still for that
            run()


@contextmanager
def _timed(step: Step) -> Iterator[None]:
    """Count an attempt at a step."""
    began, outcome = time.monotonic(), "ok"
    try:
        yield
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        _STEP_SECONDS.labels(step.stage, step.name, outcome).observe(time.monotonic() - began)


@contextmanager
def _traced(job_id: str, step: Step) -> Iterator[None]:
    """What happens within belongs to the job, in its trace and in the log."""
    attributes = {tracing.JOB: job_id, tracing.CAMERA: step.camera, "throughline.stage": step.stage}
    with (
        working_for(job=job_id, camera=step.camera),
        tracing.job_trace(job_id),
        tracing.span(step.name, attributes),
    ):
        yield
