"""Films in the records: asked for once, with the pairs that they show fixed at that moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from throughline.domain.errors import Conflict, FailedPrecondition
from throughline.orchestrator.jobs import locked
from throughline.orchestrator.ranking import WAS_ASKED, standing_answers, track_ref
from throughline.storage.records import Records
from throughline.storage.records.models import CandidateTrack, Film, QueryTrack
from throughline.v1.common_pb2 import TrackRef
from throughline.v1.orchestrator_pb2 import TimelineResult
from throughline.v1.renderer_pb2 import RenderTimelineResult

FIRST = 1
"""The revision that ends the job; later ones are rebuilt."""


@dataclass(frozen=True, slots=True)
class FilmId:
    """One film of one job."""

    job_id: str
    revision: int


def open_pairs(
    session: Session, job_id: str, with_late: bool = False, round_number: int | None = None
) -> list[CandidateTrack]:
    """Pairs of a round, by default of all, with a clip that nobody has answered, in their order."""
    answered = standing_answers(session, job_id, with_late)
    query = select(CandidateTrack).filter_by(job_id=job_id).where(WAS_ASKED)
    if round_number is not None:
        query = query.filter_by(round=round_number)
    rows = session.scalars(query.order_by(CandidateTrack.round, CandidateTrack.rank))
    return [row for row in rows if (row.round, row.pair_id) not in answered]


def plan_film(session: Session, job_id: str, now_ns: int, request_id: str | None = None) -> Film:
    """Ask for the next film, of the answers as they stand now. The caller holds the job's row."""
    with_late = request_id is not None
    answers = standing_answers(session, job_id, with_late)
    pair_ids = sorted(answer.pair_id for answer in answers.values() if answer.verdict == "valid")
    latest = session.scalar(select(func.max(Film.revision)).filter_by(job_id=job_id)) or 0
    film = Film(
        job_id=job_id,
        revision=latest + 1,
        request_id=request_id,
        requested_ns=now_ns,
        pair_ids=pair_ids,
        answer_ids=sorted(answer.id for answer in answers.values()),
        partial=bool(open_pairs(session, job_id, with_late)),
        query_only=not pair_ids,
        state="requested",
        enqueued=False,
    )
    session.add(film)
    return film


class Films:
    """The films of all jobs."""

    def __init__(self, records: Records, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._records = records
        self._now_ns = now_ns

    def plan_first(self, job_id: str) -> None:
        """Ask for the film that ends the job, unless that was done."""
        with self._records.write() as session:
            locked(session, job_id)
            if session.get(Film, (job_id, FIRST)) is None:
                plan_film(session, job_id, self._now_ns())

    def plan_again(self, job_id: str, request_id: str) -> int:
        """Ask for one more film; return its revision. The same request_id again asks for nothing new.

        Raises NotFound, FailedPrecondition where the job has no film yet, and Conflict where the id was used for another job.
        """
        with self._records.write() as session:
            job = locked(session, job_id)
            known = session.scalar(select(Film).filter_by(request_id=request_id))
            if known is not None and known.job_id != job_id:
                raise Conflict(f"request_id {request_id!r} was used for job {known.job_id}; choose a new one")
            if known is None:
                if session.scalar(select(Film.revision).filter_by(job_id=job_id, state="ready").limit(1)) is None:
                    raise FailedPrecondition(
                        f"job {job_id} is {job.state} and has no film to make anew; wait for its first"
                    )
                known = plan_film(session, job_id, self._now_ns(), request_id)
            return known.revision

    def tracks(self, film_id: FilmId) -> list[TrackRef]:
        """The query's tracks and those of the film's pairs, in order of time."""
        with self._records.read() as session:
            film = session.get_one(Film, (film_id.job_id, film_id.revision))
            rows: list[QueryTrack | CandidateTrack] = [
                *session.scalars(select(QueryTrack).filter_by(job_id=film_id.job_id))
            ]
            candidates = session.scalars(select(CandidateTrack).filter_by(job_id=film_id.job_id).where(WAS_ASKED))
            confirmed = set(film.pair_ids)
            rows += [row for row in candidates if row.pair_id in confirmed]
        rows.sort(key=lambda row: (row.start_ns, row.end_ns, row.camera, row.track_id))
        return [track_ref(row) for row in rows]

    def save(self, film_id: FilmId, result: RenderTimelineResult, evidence_uri: str) -> None:
        """The film is there, and its evidence, empty where that could not be written."""
        with self._records.write() as session:
            locked(session, film_id.job_id).version += 1
            film = session.get_one(Film, (film_id.job_id, film_id.revision))
            film.state = "ready"
            film.film_uri, film.timeline_json_uri = result.film_uri, result.timeline_json_uri
            film.contact_sheet_uri, film.duration_ns = result.contact_sheet_uri, result.duration_ns
            film.evidence_uri = evidence_uri

    def fail(self, film_id: FilmId) -> None:
        """The film could not be made, unless it is there."""
        with self._records.write() as session:
            film = session.get_one(Film, (film_id.job_id, film_id.revision))
            if film.state == "requested":
                film.state = "failed"

    def result(self, film_id: FilmId) -> TimelineResult:
        with self._records.read() as session:
            return timeline_result(session.get_one(Film, (film_id.job_id, film_id.revision)))

    def mark_enqueued(self, film_id: FilmId) -> None:
        """The film's workflow is in the queue for good."""
        with self._records.write() as session:
            session.get_one(Film, (film_id.job_id, film_id.revision)).enqueued = True

    def not_enqueued(self) -> list[FilmId]:
        """Films whose workflow may not be in the queue: the process died between the two."""
        with self._records.read() as session:
            rows = session.scalars(select(Film).filter_by(enqueued=False).order_by(Film.requested_ns)).all()
        return [FilmId(row.job_id, row.revision) for row in rows]


def timeline_result(film: Film) -> TimelineResult:
    """The contracts' form of a film."""
    return TimelineResult(
        revision=film.revision,
        film_uri=film.film_uri,
        timeline_json_uri=film.timeline_json_uri,
        contact_sheet_uri=film.contact_sheet_uri,
        duration_ns=film.duration_ns,
        partial=film.partial,
        query_only=film.query_only,
        evidence_uri=film.evidence_uri,
    )
