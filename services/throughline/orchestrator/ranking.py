"""The query's tracks and the candidates in the records."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from throughline.orchestrator.jobs import locked
from throughline.storage.records import Records
from throughline.storage.records.models import Answer, CandidateTrack, QueryTrack
from throughline.v1.common_pb2 import Interval, TrackRef
from throughline.v1.renderer_pb2 import PairToRender
from throughline.v1.tracker_pb2 import Candidate

FIRST_ROUND = 1
WAS_ASKED = CandidateTrack.clip_uri != ""
"""People were shown the pair; one that could not be rendered may come again, under the same id, in a later round."""

RoundPair = tuple[int, str]
"""A round's number, and the id of one of its pairs."""


def track_ref(row: QueryTrack | CandidateTrack) -> TrackRef:
    """The contracts' form of a row's track."""
    span = Interval(start_ns=row.start_ns, end_ns=row.end_ns)
    return TrackRef(camera=row.camera, track_id=row.track_id, span=span, tracks_key=row.tracks_key)


class Ranking:
    """Who the query is, and who may be the same person."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def save_query(self, job_id: str, tracks: Iterable[TrackRef], iou: float) -> None:
        """Keep the query's tracks, the best first."""
        with self._records.write() as session:
            job = locked(session, job_id)
            job.query_iou, job.version = iou, job.version + 1
            session.execute(delete(QueryTrack).filter_by(job_id=job_id))
            session.add_all(
                QueryTrack(
                    job_id=job_id,
                    position=position,
                    camera=track.camera,
                    track_id=track.track_id,
                    tracks_key=track.tracks_key,
                    start_ns=track.span.start_ns,
                    end_ns=track.span.end_ns,
                )
                for position, track in enumerate(tracks)
            )

    def query_tracks(self, job_id: str) -> list[TrackRef]:
        with self._records.read() as session:
            rows = session.scalars(select(QueryTrack).filter_by(job_id=job_id).order_by(QueryTrack.position)).all()
        return [track_ref(row) for row in rows]

    def save_candidates(self, job_id: str, number: int, candidates: Iterable[Candidate]) -> int:
        """Keep a round's candidates in their order; return how many there are."""
        with self._records.write() as session:
            locked(session, job_id).version += 1
            session.execute(delete(CandidateTrack).filter_by(job_id=job_id, round=number))
            rows = [_row(job_id, number, rank, candidate) for rank, candidate in enumerate(candidates, start=1)]
            session.add_all(rows)
            return len(rows)

    def candidates(self, job_id: str, number: int) -> list[CandidateTrack]:
        """A round's candidates in their order."""
        with self._records.read() as session:
            query = select(CandidateTrack).filter_by(job_id=job_id, round=number).order_by(CandidateTrack.rank)
            return list(session.scalars(query))

    def earlier(self, job_id: str, number: int) -> list[TrackRef]:
        """The candidates that people were asked about in the rounds before one: whoever had no clip may still be."""
        with self._records.read() as session:
            query = select(CandidateTrack).filter_by(job_id=job_id).where(CandidateTrack.round < number, WAS_ASKED)
            rows = session.scalars(query.order_by(CandidateTrack.round, CandidateTrack.rank)).all()
        return [track_ref(row) for row in rows]

    def confirmed(self, job_id: str, number: int) -> list[TrackRef]:
        """Whom people confirmed in the rounds before one, by the answers that counted when these closed."""
        with self._records.read() as session:
            valid = [row for row in confirmed_rows(session, job_id) if row.round < number]
        return [track_ref(row) for row in valid]

    def pairs_without_clip(self, job_id: str, number: int, first: int, count: int) -> list[PairToRender]:
        """Of a round's `count` pairs from the `first` on, counted from 0, those that have yet to be rendered."""
        rows = self.candidates(job_id, number)[first : first + count]
        return [PairToRender(pair_id=row.pair_id, candidate=track_ref(row)) for row in rows if not row.clip_uri]

    def save_clip(self, job_id: str, number: int, pair_id: str, clip_uri: str) -> tuple[int, int]:
        """Keep where a pair's clip lies; return how many of the round's pairs have one, and how many pairs it has."""
        with self._records.write() as session:
            locked(session, job_id).version += 1
            pair = update(CandidateTrack).filter_by(job_id=job_id, round=number, pair_id=pair_id)
            session.execute(pair.values(clip_uri=clip_uri))
            return _counts(session, job_id, number)

    def clip_count(self, job_id: str, number: int) -> int:
        """Pairs of a round that can be looked at."""
        with self._records.read() as session:
            return _counts(session, job_id, number)[0]


def standing_answers(session: Session, job_id: str, with_late: bool) -> dict[RoundPair, Answer]:
    """By round and pair the answer that counts: the latest given, of several at the same moment the last received."""
    query = select(Answer).filter_by(job_id=job_id).order_by(Answer.annotated_ns, Answer.id)
    return {(answer.round, answer.pair_id): answer for answer in session.scalars(query) if with_late or not answer.late}


def confirmed_rows(session: Session, job_id: str) -> list[CandidateTrack]:
    """The candidates that were confirmed in time, in order of rounds and ranks."""
    answers = standing_answers(session, job_id, with_late=False)
    query = select(CandidateTrack).filter_by(job_id=job_id).order_by(CandidateTrack.round, CandidateTrack.rank)
    standing = ((row, answers.get((row.round, row.pair_id))) for row in session.scalars(query))
    return [row for row, answer in standing if answer is not None and answer.verdict == "valid"]


def _counts(session: Session, job_id: str, number: int) -> tuple[int, int]:
    """A round's pairs with a clip, and pairs."""
    query = select(func.count()).select_from(CandidateTrack).filter_by(job_id=job_id, round=number)
    return session.scalar(query.where(WAS_ASKED)) or 0, session.scalar(query) or 0


def _row(job_id: str, number: int, rank: int, candidate: Candidate) -> CandidateTrack:
    track = candidate.track
    return CandidateTrack(
        job_id=job_id,
        round=number,
        pair_id=candidate.pair_id,
        rank=rank,
        camera=track.camera,
        track_id=track.track_id,
        tracks_key=track.tracks_key,
        start_ns=track.span.start_ns,
        end_ns=track.span.end_ns,
        similarity=candidate.similarity,
        cosine=candidate.cosine,
        time_gap_ns=candidate.time_gap_ns,
        query_crop_uri=candidate.query_crop_uri,
        candidate_crop_uri=candidate.candidate_crop_uri,
        crop_cosine=candidate.crop_cosine,
        appearance=candidate.appearance_similarity,
        space_time=candidate.space_time,
        clip_uri="",
    )
