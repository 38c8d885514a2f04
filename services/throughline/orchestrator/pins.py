"""Which models each job is pinned to. The tracker pins them, and keeps to them; here they are kept with the job."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from throughline.orchestrator.inflight import Errand
from throughline.orchestrator.jobs import locked
from throughline.orchestrator.stages import Stages
from throughline.storage.records import Records
from throughline.storage.records.models import JobModel
from throughline.v1.common_pb2 import ModelPin
from throughline.v1.tracker_pb2 import PinModelsRequest


class Pins:
    """The models of jobs. Safe to use from several threads and processes."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def are_known(self, job_id: str) -> bool:
        """Whether the job's models are kept already."""
        with self._records.read() as session:
            return bool(pins_of(session, job_id))

    def save(self, job_id: str, models: Iterable[ModelPin]) -> None:
        """Keep them, unless they are; a job has the same ones for good."""
        with self._records.write() as session:
            job = locked(session, job_id)
            if not pins_of(session, job_id):
                job.version += 1
                session.add_all(JobModel(job_id=job_id, name=pin.name, digest=pin.digest) for pin in models)


def pin_models(pins: Pins, stages: Stages, errand: Errand, seconds: float | None = None) -> None:
    """Pin the errand's job to the models that are served, and keep which they are. `seconds`: how long that may take."""
    pinned = stages.pin_models(errand, PinModelsRequest(job_id=errand.job_id), seconds)
    pins.save(errand.job_id, pinned.models)


def pins_of(session: Session, job_id: str) -> list[ModelPin]:
    """The job's models by name; none before they are pinned."""
    rows = session.scalars(select(JobModel).filter_by(job_id=job_id).order_by(JobModel.name))
    return [ModelPin(name=row.name, digest=row.digest) for row in rows]
