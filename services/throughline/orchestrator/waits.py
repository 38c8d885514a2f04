"""What jobs wait for, in the records: so it can be seen, and goes on as it was after a restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from throughline.orchestrator.jobs import locked
from throughline.storage.records import Records
from throughline.storage.records.models import JobWait


@dataclass(frozen=True, slots=True)
class StepId:
    """Names one step of one job among those that may be at work at the same time."""

    job_id: str
    step: str
    stage: str
    camera: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a step has been waiting, and until when. Its fields are those of the record (JobWait)."""

    reason: str
    since_ns: int
    attempts: int
    next_ns: int
    spent_seconds: float
    reached: Mapping[str, int]


class Waits:
    """The waits of all jobs."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def get(self, step: StepId) -> Wait | None:
        """The wait of a step; None where all goes well."""
        with self._records.read() as session:
            row = _row(session, step)
        if row is None:
            return None
        return Wait(row.reason, row.since_ns, row.attempts, row.next_ns, row.spent_seconds, row.reached)

    def put(self, step: StepId, wait: Wait) -> None:
        """Keep a wait, in place of the one before."""
        with self._records.write() as session:
            locked(session, step.job_id).version += 1
            session.merge(
                JobWait(
                    job_id=step.job_id,
                    step=step.step,
                    camera=step.camera,
                    number=step.number,
                    stage=step.stage,
                    reason=wait.reason,
                    since_ns=wait.since_ns,
                    attempts=wait.attempts,
                    next_ns=wait.next_ns,
                    spent_seconds=wait.spent_seconds,
                    reached=dict(wait.reached),
                )
            )

    def end(self, step: StepId) -> None:
        """The step waits no more, whichever way that came."""
        with self._records.write() as session:
            locked(session, step.job_id).version += 1
            row = _row(session, step)
            if row is not None:
                session.delete(row)


def _row(session: Session, step: StepId) -> JobWait | None:
    return session.get(JobWait, (step.job_id, step.step, step.camera, step.number))
