"""Jobs in the records: made once for each request, moved through their states, ended once."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import Histogram
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from throughline.domain.errors import Conflict, NotFound
from throughline.domain.time import NS_PER_SECOND
from throughline.domain.work import Incident as DomainIncident
from throughline.orchestrator.inflight import JobEnded
from throughline.orchestrator.words import ENDED, stage_of
from throughline.storage.records import Records
from throughline.storage.records.models import Job, JobIncident, JobRequest, JobWait, ReviewRound, StageRun
from throughline.v1.common_pb2 import Incident
from throughline.v1.orchestrator_pb2 import SubmitJobRequest
from throughline.wire.metrics import LONG_SECONDS
from throughline.wire.tracing import record_job

_JOB_SECONDS = Histogram(
    "throughline_job_seconds", "Jobs that ended, from their submission on", ["state"], buckets=LONG_SECONDS
)


@dataclass(frozen=True, slots=True)
class Submission:
    """A request that was found good, and its query: the JSON, its camera and label."""

    request: SubmitJobRequest
    digest: str
    query_json: str
    camera: str
    label: str
    topology_yaml: str = ""
    incidents: tuple[DomainIncident, ...] = ()
    """What its readers should know from the start."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a job was asked to do."""

    job_id: str
    request: SubmitJobRequest
    query_json: str
    camera: str
    label: str
    callback_token: str
    topology_yaml: str


def locked(session: Session, job_id: str) -> Job:
    """The job's row, held until the session ends; raise NotFound where there is none."""
    job = session.get(Job, job_id, with_for_update=True)
    if job is None:
        raise NotFound(f"there is no job {job_id!r}; ListJobs tells which there are")
    return job


class Jobs:
    """Every change of a job's own row goes through here. Safe to use from several threads and processes."""

    def __init__(self, records: Records, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._records = records
        self._now_ns = now_ns

    def known(self, request_id: str, digest: str) -> str | None:
        """The job that a request made, or None; raise Conflict where the id came with other content."""
        with self._records.read() as session:
            job = session.scalar(select(Job).filter_by(request_id=request_id))
        if job is None:
            return None
        if job.request_digest != digest:
            raise Conflict(
                f"request_id {request_id!r} was used for job {job.job_id} with other content; "
                "send the same content again, or choose a new request_id"
            )
        return job.job_id

    def create(self, submission: Submission) -> tuple[str, bool]:
        """Keep a new job; return its id, and whether it was there already."""
        job_id, request = uuid.uuid4().hex, submission.request
        try:
            with self._records.write() as session:
                session.add(self._new(job_id, submission))
                session.flush()
                session.add(
                    JobRequest(
                        job_id=job_id,
                        request=request.SerializeToString(),
                        query_json=submission.query_json,
                        topology_yaml=submission.topology_yaml,
                    )
                )
                session.add_all(
                    JobIncident(
                        job_id=job_id,
                        code=each.code,
                        subject=each.subject,
                        message=each.message,
                        camera=each.camera,
                        stage="unspecified",
                    )
                    for each in submission.incidents
                )
        except IntegrityError:  # the same request at the same moment
            existing = self.known(request.request_id, submission.digest)
            if existing is None:
                raise
            return existing, True
        return job_id, False

    def _new(self, job_id: str, submission: Submission) -> Job:
        request = submission.request
        return Job(
            job_id=job_id,
            request_id=request.request_id,
            request_digest=submission.digest,
            state="queued",
            stage="unspecified",
            created_ns=self._now_ns(),
            ended_ns=0,
            footage_uri=request.footage_uri,
            camera=submission.camera,
            query_label=submission.label,
            site=request.options.site,
            query_iou=0.0,
            error="",
            labels=dict(request.options.labels),
            callback_token=secrets.token_urlsafe(32),
            enqueued=False,
            version=1,
        )

    def assignment(self, job_id: str) -> Assignment:
        """What the job was asked to do; raise NotFound where there is none."""
        with self._records.read() as session:
            job, asked = session.get(Job, job_id), session.get(JobRequest, job_id)
        if job is None or asked is None:
            raise NotFound(f"there is no job {job_id!r}; ListJobs tells which there are")
        request = SubmitJobRequest.FromString(asked.request)
        return Assignment(
            job_id,
            request,
            asked.query_json,
            job.camera,
            job.query_label,
            job.callback_token,
            asked.topology_yaml,
        )

    def ended(self, job_ids: set[str]) -> set[str]:
        """Those of some jobs that have ended."""
        with self._records.read() as session:
            return set(session.scalars(select(Job.job_id).where(Job.job_id.in_(job_ids), Job.state.in_(ENDED))))

    def version(self, job_id: str) -> int:
        """A number that grows with every visible change of the job; raise NotFound where there is none."""
        with self._records.read() as session:
            version = session.scalar(select(Job.version).filter_by(job_id=job_id))
        if version is None:
            raise NotFound(f"there is no job {job_id!r}; ListJobs tells which there are")
        return version

    def enter(self, job_id: str, stage: str) -> None:
        """The stage is at work, beside those before it; raise JobEnded if the job has ended."""
        with self._records.write() as session:
            job = locked(session, job_id)
            if job.state in ENDED:
                raise JobEnded(job_id)
            again = job.state == "waiting_for_review" and stage != "review"  # the next round, or the film
            if again or job.state == "queued" or stage_of(job.stage) < stage_of(stage):
                job.state, job.version = "running", job.version + 1
                job.stage = stage if again else max(job.stage, stage, key=stage_of)

    def wait_for_review(self, job_id: str, round_number: int) -> None:
        """Nothing is at work any more until people have answered, unless they did already."""
        with self._records.write() as session:
            job, review = locked(session, job_id), session.get(ReviewRound, (job_id, round_number))
            if job.state == "running" and review is not None and not review.closed_ns:
                job.state, job.version = "waiting_for_review", job.version + 1

    def end(self, job_id: str, state: str, error: str = "") -> str:
        """End the job, its open rounds and what it waits for, unless it has ended; return the state that it stays in."""
        with self._records.write() as session:
            job = locked(session, job_id)
            ends = job.state not in ENDED
            if ends:
                job.state, job.error = state, error
                job.ended_ns, job.version = max(job.created_ns, self._now_ns()), job.version + 1
                for review in session.scalars(select(ReviewRound).filter_by(job_id=job_id, closed_ns=0)):
                    review.closed_ns, review.outcome = job.ended_ns, state
                session.execute(delete(JobWait).filter_by(job_id=job_id))
        if ends:
            record_job(job_id, job.created_ns, job.ended_ns, state, error)
            _JOB_SECONDS.labels(state).observe((job.ended_ns - job.created_ns) / NS_PER_SECOND)
        return job.state

    def add_incidents(self, job_id: str, stage: str, incidents: Iterable[Incident]) -> None:
        """Keep what went wrong; what is known already changes nothing."""
        with self._records.write() as session:
            job = locked(session, job_id)
            known = {
                (row.code, row.subject, row.message)
                for row in session.scalars(select(JobIncident).filter_by(job_id=job_id, stage=stage))
            }
            for incident in incidents:
                key = (incident.code, incident.subject, incident.message)
                if key not in known:
                    known.add(key)
                    code, subject, message = key
                    session.add(
                        JobIncident(
                            job_id=job_id,
                            code=code,
                            subject=subject,
                            message=message,
                            camera=incident.camera,
                            stage=stage,
                        )
                    )
                    job.version += 1

    def add_run(self, job_id: str, stage: str, subject: str, started_ns: int, runs: int) -> None:
        """Keep that a stage answered, and how many times it really worked for that."""
        with self._records.write() as session:
            job = locked(session, job_id)
            job.version += 1
            session.add(
                StageRun(
                    job_id=job_id,
                    stage=stage,
                    subject=subject,
                    started_ns=started_ns,
                    ended_ns=max(started_ns, self._now_ns()),
                    runs=runs,
                )
            )

    def mark_enqueued(self, job_id: str) -> None:
        """The job's workflow is in the queue for good."""
        with self._records.write() as session:
            locked(session, job_id).enqueued = True

    def not_enqueued(self) -> list[str]:
        """Jobs whose workflow may not be in the queue: the process died between the two."""
        with self._records.read() as session:
            return list(session.scalars(select(Job.job_id).filter_by(enqueued=False).order_by(Job.created_ns)))
