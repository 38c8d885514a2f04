"""What the records know of a film for its evidence: what was asked, who said what, and which answers decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from sqlalchemy import select
from sqlalchemy.orm import Session

from throughline.domain.evidence import FilmFacts, JobFacts, PairFacts, QueryFacts, Statement
from throughline.domain.pairs import TrackSpan
from throughline.domain.time import Instant
from throughline.domain.work import Incident
from throughline.orchestrator.films import FilmId
from throughline.orchestrator.ranking import RoundPair, standing_answers, track_ref
from throughline.storage.manifest import describe_bytes
from throughline.storage.records import Records
from throughline.storage.records.models import Answer, CandidateTrack, Film, Job, JobIncident, JobRequest, QueryTrack
from throughline.v1.orchestrator_pb2 import JobOptions, SubmitJobRequest
from throughline.wire.convert import track_from_proto

_ADDRESSES = ("tier_target", "callback_target", "alert_target")
"""Options that decide nothing of a film, and may be secret: a webhook's URL often is."""


@dataclass(frozen=True, slots=True)
class Testimony:
    """All that the records say. `film` lacks what only the renderer knows: its length and digest are 0 and empty."""

    job: JobFacts
    query: QueryFacts
    query_json: str
    film: FilmFacts
    pairs: tuple[PairFacts, ...]
    incidents: tuple[Incident, ...]


def testimony(records: Records, film_id: FilmId) -> Testimony:
    """What the records say of a film, all of one moment."""
    with records.read() as session:
        job = session.get_one(Job, film_id.job_id)
        asked = session.get_one(JobRequest, film_id.job_id)
        film = session.get_one(Film, (film_id.job_id, film_id.revision))
        incidents = session.scalars(select(JobIncident).filter_by(job_id=job.job_id).order_by(JobIncident.id))
        return Testimony(
            job=_job(job, asked),
            query=_query(session, job, asked),
            query_json=asked.query_json,
            film=FilmFacts(film.revision, Instant(film.requested_ns), 0, film.partial, film.query_only, ""),
            pairs=_pairs(session, film),
            incidents=tuple(Incident(row.code, row.subject, row.message, row.camera) for row in incidents),
        )


def _job(job: Job, asked: JobRequest) -> JobFacts:
    return JobFacts(
        job_id=job.job_id,
        request_id=job.request_id,
        request_sha256=job.request_digest,
        submitted=Instant(job.created_ns),
        footage_uri=job.footage_uri,
        options=_options(SubmitJobRequest.FromString(asked.request).options),
        topology_sha256=describe_bytes(asked.topology_yaml.encode()).sha256 if asked.topology_yaml else "",
    )


def _options(options: JobOptions) -> dict[str, Any]:
    kept = JobOptions.FromString(options.SerializeToString())
    for field in _ADDRESSES:
        kept.ClearField(field)  # type: ignore[arg-type]
    value = json_format.MessageToDict(kept, preserving_proto_field_name=True)
    return {name: without_floats(each) for name, each in value.items()}


def without_floats(value: Any) -> Any:
    """The same JSON with decimal text in place of each float."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {name: without_floats(each) for name, each in value.items()}
    return [without_floats(each) for each in value] if isinstance(value, list) else value


def _query(session: Session, job: Job, asked: JobRequest) -> QueryFacts:
    tracks = session.scalars(select(QueryTrack).filter_by(job_id=job.job_id).order_by(QueryTrack.position))
    return QueryFacts(
        camera=job.camera,
        label=job.query_label,
        sha256=describe_bytes(asked.query_json.encode()).sha256,
        iou=f"{job.query_iou:.6f}",
        tracks=tuple(_span(track) for track in tracks),
    )


def _pairs(session: Session, film: Film) -> tuple[PairFacts, ...]:
    counted = set(_standing_ids(session, film) if film.answer_ids is None else film.answer_ids)
    answers: dict[RoundPair, list[Statement]] = {}
    query = select(Answer).filter_by(job_id=film.job_id).order_by(Answer.annotated_ns, Answer.id)
    for answer in session.scalars(query):
        answers.setdefault((answer.round, answer.pair_id), []).append(_statement(answer, counted))
    candidates = session.scalars(
        select(CandidateTrack).filter_by(job_id=film.job_id).order_by(CandidateTrack.round, CandidateTrack.rank)
    )
    return tuple(
        PairFacts(
            pair_id=row.pair_id,
            round=row.round,
            rank=row.rank,
            candidate=_span(row),
            similarity=f"{row.similarity:.6f}",
            cosine=f"{row.cosine:.6f}",
            appearance=f"{row.appearance:.6f}",
            space_time=row.space_time,
            shown=row.pair_id in film.pair_ids,
            answers=tuple(answers[row.round, row.pair_id]),
        )
        for row in candidates
        if (row.round, row.pair_id) in answers
    )


def _standing_ids(session: Session, film: Film) -> list[int]:
    """Answers that decided a film which was asked for before they were kept with it."""
    return [answer.id for answer in standing_answers(session, film.job_id, film.request_id is not None).values()]


def _statement(answer: Answer, counted: set[int]) -> Statement:
    return Statement(
        verdict=answer.verdict,
        annotator=answer.annotator,
        said=Instant(answer.annotated_ns),
        received=Instant(answer.received_ns),
        comment=answer.comment,
        late=answer.late,
        counted=answer.id in counted,
    )


def _span(row: QueryTrack | CandidateTrack) -> TrackSpan:
    return track_from_proto(track_ref(row))
