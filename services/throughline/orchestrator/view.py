"""A job as callers see it."""

from __future__ import annotations

import base64
import binascii

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.time import NS_PER_SECOND, Instant, Interval, merge_intervals
from throughline.orchestrator.films import timeline_result
from throughline.orchestrator.pins import pins_of
from throughline.orchestrator.ranking import standing_answers, track_ref
from throughline.orchestrator.words import ENDED, stage_of, state_of, state_word, verdict_of
from throughline.storage.records import Records
from throughline.storage.records.models import (
    CandidateTrack,
    Film,
    Job,
    JobIncident,
    JobProgress,
    JobWait,
    QueryTrack,
    ReviewRound,
    StageRun,
)
from throughline.v1 import common_pb2, orchestrator_pb2

_PAGE_DEFAULT, _PAGE_MOST = 50, 1000
_LISTED_INCIDENTS = 20
"""Of each job in a list; GetJob tells them all."""


class View:
    """Reads jobs; changes nothing."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def job(self, job_id: str, with_candidates: bool = True) -> orchestrator_pb2.Job:
        """Everything about a job; raise NotFound where there is none. Without candidates they come only once it has ended."""
        with self._records.read() as session:
            row = session.get(Job, job_id)
            if row is None:
                raise NotFound(f"there is no job {job_id!r}; ListJobs tells which there are")
            job = _summary(session, row)
            job.progress.extend(_progress(session, job_id))
            job.timings.extend(_timings(session, job_id))
            job.waiting.extend(_waiting(session, job_id))
            job.models.extend(pins_of(session, job_id))
            if with_candidates or row.state in ENDED:
                job.candidates.extend(_candidates(session, job_id))
        return job

    def page(self, request: orchestrator_pb2.ListJobsRequest) -> orchestrator_pb2.ListJobsResponse:
        """A page of jobs, newest first; raise InvalidInput for a size or token that is none."""
        size = request.page_size or _PAGE_DEFAULT
        if not 1 <= size <= _PAGE_MOST:
            raise InvalidInput(f"page_size: is {size}; expected 1 to {_PAGE_MOST}, or 0 for {_PAGE_DEFAULT}")
        query = select(Job).order_by(Job.created_ns.desc(), Job.job_id.desc()).limit(size + 1)
        if request.page_token:
            query = query.where(tuple_(Job.created_ns, Job.job_id) < tuple_(*_read_token(request.page_token)))
        if request.state:
            if request.state not in orchestrator_pb2.JobState.values():
                raise InvalidInput(f"state: {request.state} is no state of a job")
            query = query.where(Job.state == state_word(request.state))
        with self._records.read() as session:
            rows = list(session.scalars(query))
            response = orchestrator_pb2.ListJobsResponse(
                jobs=[_summary(session, row, _LISTED_INCIDENTS) for row in rows[:size]]
            )
        if len(rows) > size:
            response.next_page_token = _token(rows[size - 1])
        return response


def _summary(session: Session, row: Job, most_incidents: int | None = None) -> orchestrator_pb2.Job:
    """A job without candidates, progress, timings and models, and with its first incidents, by default all."""
    job = orchestrator_pb2.Job(
        job_id=row.job_id,
        request_id=row.request_id,
        state=state_of(row.state),
        stage=stage_of(row.stage),
        created_ns=row.created_ns,
        ended_ns=row.ended_ns,
        footage_uri=row.footage_uri,
        error=row.error,
        query_iou=row.query_iou,
        labels=row.labels,
    )
    of_job = {"job_id": row.job_id}
    for incident in session.scalars(
        select(JobIncident).filter_by(**of_job).order_by(JobIncident.id).limit(most_incidents)
    ):
        job.incidents.append(
            common_pb2.Incident(
                code=incident.code,
                subject=incident.subject,
                message=incident.message,
                camera=incident.camera,
                stage=stage_of(incident.stage),
            )
        )
    tracks = session.scalars(select(QueryTrack).filter_by(**of_job).order_by(QueryTrack.position))
    job.query_tracks.extend(track_ref(track) for track in tracks)
    film = session.scalar(select(Film).filter_by(**of_job, state="ready").order_by(Film.revision.desc()).limit(1))
    if film is not None:
        job.timeline.CopyFrom(timeline_result(film))
    review = session.scalar(select(ReviewRound).filter_by(**of_job).order_by(ReviewRound.round.desc()).limit(1))
    if review is not None:
        job.round = review.round
        job.review_deadline_ns = 0 if review.closed_ns else review.deadline_ns
    return job


def _progress(session: Session, job_id: str) -> list[common_pb2.Progress]:
    rows = session.scalars(select(JobProgress).filter_by(job_id=job_id)).all()
    return [
        common_pb2.Progress(
            stage=stage_of(row.stage),
            camera=row.camera,
            done=row.done,
            total=row.total,
            unit=row.unit,
            rate=row.rate,
            seconds_left=row.seconds_left,
        )
        for row in sorted(rows, key=lambda row: (stage_of(row.stage), row.camera))
    ]


def _waiting(session: Session, job_id: str) -> list[orchestrator_pb2.Waiting]:
    """What cannot be done at present, what has waited longest first."""
    return [
        orchestrator_pb2.Waiting(
            step=row.step,
            stage=stage_of(row.stage),
            camera=row.camera,
            reason=row.reason,
            since_ns=row.since_ns,
            attempts=row.attempts,
            next_attempt_ns=row.next_ns,
        )
        for row in session.scalars(select(JobWait).filter_by(job_id=job_id).order_by(JobWait.since_ns))
    ]


def _timings(session: Session, job_id: str) -> list[orchestrator_pb2.StageTiming]:
    """Per stage the time during which at least one of its calls ran, and what they really did."""
    stages: dict[str, list[StageRun]] = {}
    for run in session.scalars(select(StageRun).filter_by(job_id=job_id)):
        stages.setdefault(run.stage, []).append(run)
    timings = []
    for stage in sorted(stages, key=stage_of):
        spans = merge_intervals(Interval(Instant(run.started_ns), Instant(run.ended_ns)) for run in stages[stage])
        timings.append(
            orchestrator_pb2.StageTiming(
                stage=stage_of(stage),
                seconds=sum(span.duration_ns for span in spans) / NS_PER_SECOND,
                runs=sum(run.runs for run in stages[stage]),
            )
        )
    return timings


def _candidates(session: Session, job_id: str) -> list[orchestrator_pb2.CandidateState]:
    answers = standing_answers(session, job_id, with_late=False)
    query = select(CandidateTrack).filter_by(job_id=job_id).order_by(CandidateTrack.round, CandidateTrack.rank)
    states = []
    for row in session.scalars(query):
        answer = answers.get((row.round, row.pair_id))
        states.append(
            orchestrator_pb2.CandidateState(
                pair_id=row.pair_id,
                track=track_ref(row),
                similarity=row.similarity,
                cosine=row.cosine,
                clip_uri=row.clip_uri,
                verdict=verdict_of(answer.verdict if answer else ""),
                annotator=answer.annotator if answer else "",
                rank=row.rank,
                round=row.round,
                appearance_similarity=row.appearance,
                space_time=row.space_time,
            )
        )
    return states


def _token(last: Job) -> str:
    return base64.urlsafe_b64encode(f"{last.created_ns}:{last.job_id}".encode()).decode()


def _read_token(token: str) -> tuple[int, str]:
    try:
        created_ns, separator, job_id = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if not separator:
            raise ValueError(token)
        return int(created_ns), job_id
    except (ValueError, binascii.Error) as error:
        raise InvalidInput("page_token: is none of ours; send next_page_token of the page before") from error
