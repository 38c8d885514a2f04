"""Rounds of review as the tier knows them: pairs come in, answers are given, answers are sent. How they are sent is callback.py's."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from google.protobuf import json_format
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.pairs import Verdict
from throughline.storage.database import open_database
from throughline.tier.records import MIGRATIONS, Answer, Pair, Review, ReviewRequest
from throughline.v1.tier_pb2 import ReviewPair, ReviewPairsRequest

PAIRS_AT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class AnsweredPair:
    """A pair and the latest answer to it, if there is one."""

    pair: ReviewPair
    verdict: Verdict | None
    annotator: str
    sent: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """One answer that somebody gives."""

    pair_id: str
    verdict: Verdict
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Answers that travel together under one request id, and where to."""

    request_id: str
    job_id: str
    round: int
    callback_target: str
    callback_token: str
    answers: tuple[Answer, ...]


class Reviews:
    """The tier's memory. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._engine = engine
        self._now_ns = now_ns

    @classmethod
    def open(cls, database_url: str) -> Reviews:
        return cls(open_database(database_url, MIGRATIONS))

    def close(self) -> None:
        self._engine.dispose()

    def take(self, request: ReviewPairsRequest) -> int:
        """Keep the pairs of a request; return how many it holds. The same request_id again changes nothing."""
        _check(request)
        try:
            with Session(self._engine) as session, session.begin():
                session.add(
                    ReviewRequest(
                        request_id=request.request_id,
                        job_id=request.job_id,
                        round=request.round or 1,
                        reminder=request.reminder,
                        received_ns=self._now_ns(),
                    )
                )
                session.flush()  # a known request_id, or one that another thread is taking, ends here
                self._keep(session, request)
        except IntegrityError:
            with Session(self._engine) as session:
                if session.get(ReviewRequest, request.request_id) is None:
                    raise
        return len(request.pairs)

    def _keep(self, session: Session, request: ReviewPairsRequest) -> None:
        review = session.scalar(select(Review).filter_by(job_id=request.job_id, round=request.round or 1))
        if review is None:
            review = Review(job_id=request.job_id, round=request.round or 1)
            session.add(review)
        review.callback_target = request.callback_target
        review.callback_token = request.callback_token
        review.deadline_ns = request.deadline_ns
        review.reminders = request.reminder
        session.flush()
        known = set(session.scalars(select(Pair.pair_id).filter_by(review_id=review.id)))
        for pair in request.pairs:
            if pair.pair_id not in known:
                document = json_format.MessageToJson(pair, indent=None, always_print_fields_with_no_presence=True)
                session.add(Pair(review_id=review.id, pair_id=pair.pair_id, rank=pair.rank, document=document))

    def pairs(self, job_id: str, round_number: int = 0) -> list[AnsweredPair]:
        """The pairs of a round (0: the latest) in their order. Raise NotFound where none were ever sent."""
        with Session(self._engine) as session:
            review = self._review(session, job_id, round_number)
            answers = self._latest_answers(session, review.id)
            rows = session.scalars(select(Pair).filter_by(review_id=review.id).order_by(Pair.rank, Pair.id))
            return [_answered(row, answers.get(row.pair_id)) for row in rows]

    def waiting(self) -> list[tuple[str, int]]:
        """(job id, round) of every round with pairs that nobody has answered, the oldest first."""
        answered = select(Answer.id).where(Answer.review_id == Pair.review_id, Answer.pair_id == Pair.pair_id).exists()
        open_rounds = select(Review).where(select(Pair.id).where(Pair.review_id == Review.id, ~answered).exists())
        with Session(self._engine) as session:
            return [(review.job_id, review.round) for review in session.scalars(open_rounds.order_by(Review.id))]

    def answer(self, job_id: str, judgements: Iterable[Judgement], annotator: str, round_number: int = 0) -> str:
        """Keep answers for sending; return the request id that they will travel under."""
        request_id, now = f"tier-{uuid.uuid4().hex}", self._now_ns()
        with Session(self._engine) as session, session.begin():
            review = self._review(session, job_id, round_number)
            known = set(session.scalars(select(Pair.pair_id).filter_by(review_id=review.id)))
            for judgement in judgements:
                if judgement.pair_id not in known:
                    raise NotFound(f"job {job_id} has no pair {judgement.pair_id} in round {review.round}")
                session.add(
                    Answer(
                        review_id=review.id,
                        pair_id=judgement.pair_id,
                        verdict=judgement.verdict.value,
                        annotator=annotator,
                        annotated_ns=now,
                        comment=judgement.comment,
                        request_id=request_id,
                        refused="",
                    )
                )
        return request_id

    def unsent(self) -> list[Batch]:
        """Answers that the orchestrator has not had, in the order in which they were given."""
        with Session(self._engine, expire_on_commit=False) as session:
            rows = session.execute(
                select(Answer, Review)
                .join(Review, Review.id == Answer.review_id)
                .where(Answer.sent_ns.is_(None), Answer.refused == "")
                .order_by(Answer.id)
            ).all()
        groups: dict[str, list[tuple[Answer, Review]]] = {}
        for answer, review in rows:
            groups.setdefault(answer.request_id, []).append((answer, review))
        return [_batch(request_id, group) for request_id, group in groups.items()]

    def mark_sent(self, request_id: str) -> None:
        """The orchestrator has had this batch."""
        with Session(self._engine) as session, session.begin():
            session.execute(update(Answer).filter_by(request_id=request_id).values(sent_ns=self._now_ns()))

    def mark_refused(self, request_id: str, reason: str) -> None:
        """The orchestrator will never take this batch."""
        with Session(self._engine) as session, session.begin():
            session.execute(update(Answer).filter_by(request_id=request_id).values(refused=reason or "refused"))

    @staticmethod
    def _review(session: Session, job_id: str, round_number: int) -> Review:
        query = select(Review).filter_by(job_id=job_id)
        if round_number:
            query = query.filter_by(round=round_number)
        review = session.scalar(query.order_by(Review.round.desc()).limit(1))
        if review is None:
            raise NotFound(
                f"no pairs of job {job_id} are here; they come when its clips are rendered: see `throughline watch {job_id}`"
            )
        return review

    @staticmethod
    def _latest_answers(session: Session, review_id: int) -> dict[str, Answer]:
        rows = session.scalars(select(Answer).filter_by(review_id=review_id).order_by(Answer.annotated_ns, Answer.id))
        return {row.pair_id: row for row in rows}


def _check(request: ReviewPairsRequest) -> None:
    for field in ("request_id", "job_id", "callback_target", "callback_token"):
        if not getattr(request, field):
            raise InvalidInput(f"ReviewPairs {field}: is empty; it is needed")
    if not 1 <= len(request.pairs) <= PAIRS_AT_MOST:
        raise InvalidInput(f"ReviewPairs pairs: holds {len(request.pairs)}; expected 1 to {PAIRS_AT_MOST}")
    if not all(pair.pair_id for pair in request.pairs):
        raise InvalidInput("ReviewPairs pairs: one has an empty pair_id")


def _answered(row: Pair, answer: Answer | None) -> AnsweredPair:
    pair = json_format.Parse(row.document, ReviewPair())
    if answer is None:
        return AnsweredPair(pair, None, "", False)
    return AnsweredPair(pair, Verdict(answer.verdict), answer.annotator, answer.sent_ns is not None)


def _batch(request_id: str, group: Sequence[tuple[Answer, Review]]) -> Batch:
    review = group[0][1]
    return Batch(
        request_id=request_id,
        job_id=review.job_id,
        round=review.round,
        callback_target=review.callback_target,
        callback_token=review.callback_token,
        answers=tuple(answer for answer, _ in group),
    )
