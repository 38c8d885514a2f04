"""Rounds of review in the records: opened before the pairs are sent, closed when all are answered or time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from throughline.domain.time import NS_PER_SECOND, Instant, seconds_to_ns
from throughline.orchestrator.films import open_pairs, plan_film
from throughline.orchestrator.jobs import locked
from throughline.orchestrator.ranking import FIRST_ROUND, confirmed_rows
from throughline.storage.records import Records
from throughline.storage.records.models import (
    Answer,
    CandidateTrack,
    JobRequest,
    NextRound,
    ReviewRound,
    StageRun,
)
from throughline.v1.orchestrator_pb2 import SubmitJobRequest

DEFAULT_DEADLINE_SECONDS = 259_200
MOST_ROUNDS = 10
COMPLETE, DEADLINE = "complete", "deadline"
_FAILED = "failed"
_STEPS_OF_A_ROUND = 10**6
"""More than a round has calls for clips, or reminders."""


@dataclass(frozen=True, slots=True)
class RoundId:
    """One round of one job, from 1."""

    job_id: str
    number: int

    @property
    def prefix(self) -> str:
        """What names within the job begin with where they are of this round: nothing for the first."""
        return "" if self.number == FIRST_ROUND else f"round-{self.number}/"

    def step_number(self, number: int) -> int:
        """Tells a step of this round from those of others that have the same number in theirs."""
        return (self.number - FIRST_ROUND) * _STEPS_OF_A_ROUND + number


@dataclass(frozen=True, slots=True)
class Reminder:
    """The `number`-th reminder of a round, from 1."""

    round: RoundId
    number: int

    @property
    def job_id(self) -> str:
        return self.round.job_id


def close_round(session: Session, review: ReviewRound, outcome: str, now_ns: int) -> None:
    """Close an open round, and ask for the next one, or for the film. The caller holds the job's row."""
    now_ns = max(now_ns, review.opened_ns)  # the clock may have been set back since
    review.closed_ns, review.outcome = now_ns, outcome
    session.add(
        StageRun(job_id=review.job_id, stage="review", subject="", started_ns=review.opened_ns, ended_ns=now_ns, runs=1)
    )
    session.flush()
    if outcome == COMPLETE and _goes_on(session, review):
        session.add(NextRound(job_id=review.job_id, round=review.round + 1, requested_ns=now_ns, enqueued=False))
    else:
        plan_film(session, review.job_id, now_ns)


def _goes_on(session: Session, review: ReviewRound) -> bool:
    """Whether one more round may find somebody: there may be one, and this one confirmed somebody to search with."""
    asked = session.get_one(JobRequest, review.job_id)
    most = SubmitJobRequest.FromString(asked.request).options.max_rounds or 1
    return review.round < most and any(row.round == review.round for row in confirmed_rows(session, review.job_id))


class Rounds:
    """The rounds of all jobs."""

    def __init__(self, records: Records, reminder_seconds: float, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._records = records
        self._reminder_ns = seconds_to_ns(reminder_seconds)
        self._now_ns = now_ns

    def open(self, round_id: RoundId, deadline_seconds: int) -> None:
        """Open the round, unless that was done. Answers are welcome from here on; its time runs from when the tier has it."""
        with self._records.write() as session:
            locked(session, round_id.job_id)
            if session.get(ReviewRound, _key(round_id)) is None:
                now = self._now_ns()
                session.add(
                    ReviewRound(
                        job_id=round_id.job_id,
                        round=round_id.number,
                        opened_ns=now,
                        sent_ns=0,
                        deadline_ns=now + deadline_seconds * NS_PER_SECOND,
                        closed_ns=0,
                        outcome="",
                        reminders=0,
                        next_reminder_ns=0,
                    )
                )

    def get(self, round_id: RoundId) -> ReviewRound:
        with self._records.read() as session:
            return session.get_one(ReviewRound, _key(round_id))

    def open_pairs(self, round_id: RoundId) -> list[CandidateTrack]:
        """The round's pairs that nobody has answered; none once it is closed."""
        with self._records.read() as session:
            review = session.get_one(ReviewRound, _key(round_id))
            return [] if review.closed_ns else open_pairs(session, round_id.job_id, round_number=round_id.number)

    def mark_sent(self, round_id: RoundId) -> None:
        """The tier has the pairs: from now on it has all the time that it was promised."""
        with self._records.write() as session:
            job, review = locked(session, round_id.job_id), session.get_one(ReviewRound, _key(round_id))
            if not review.sent_ns:
                review.sent_ns = self._now_ns()
                review.deadline_ns += review.sent_ns - review.opened_ns
                review.next_reminder_ns = review.sent_ns + self._reminder_ns if self._reminder_ns else 0
                job.version += 1

    def expire(self) -> None:
        """Close the rounds whose time is up."""
        for round_id in self._due(ReviewRound.deadline_ns):
            with self._records.write() as session:
                job, review = locked(session, round_id.job_id), session.get_one(ReviewRound, _key(round_id))
                if not review.closed_ns:
                    close_round(session, review, DEADLINE, self._now_ns())
                    job.version += 1

    def abandon(self, round_id: RoundId) -> bool:
        """A round that could not be sent stays closed, whether it was opened or not; return whether it was not closed before, by its
        answers or its deadline."""
        with self._records.write() as session:
            job, review = locked(session, round_id.job_id), session.get(ReviewRound, _key(round_id))
            if review is None:
                return True
            if review.outcome not in ("", _FAILED):
                return False
            if not review.closed_ns:
                review.closed_ns, review.outcome = max(self._now_ns(), review.opened_ns), _FAILED
                job.version += 1
            return True

    def due_reminders(self) -> list[Reminder]:
        """Reminders that should be on their way."""
        if not self._reminder_ns:
            return []
        due = self._due(ReviewRound.next_reminder_ns)
        return [Reminder(round_id, self.get(round_id).reminders + 1) for round_id in due]

    def _due(self, column: InstrumentedAttribute[int]) -> list[RoundId]:
        """Rounds that are open, were sent, and have the moment of `column` behind them."""
        query = select(ReviewRound.job_id, ReviewRound.round).where(
            ReviewRound.closed_ns == 0, ReviewRound.sent_ns > 0, column.between(1, self._now_ns())
        )
        with self._records.read() as session:
            return [RoundId(*row) for row in session.execute(query)]

    def mark_reminded(self, reminder: Reminder) -> None:
        """The reminder's workflow is in the queue for good; the next one is due a full pause after this one was."""
        with self._records.write() as session:
            locked(session, reminder.job_id)
            review = session.get_one(ReviewRound, _key(reminder.round))
            if review.reminders < reminder.number:
                review.reminders = reminder.number
                review.next_reminder_ns = (
                    max(review.next_reminder_ns, self._now_ns() - self._reminder_ns) + self._reminder_ns
                )

    def not_enqueued(self) -> list[RoundId]:
        """Rounds after the first whose workflow may not be in the queue: the process died between the two."""
        with self._records.read() as session:
            rows = session.scalars(select(NextRound).filter_by(enqueued=False).order_by(NextRound.requested_ns)).all()
        return [RoundId(row.job_id, row.round) for row in rows]

    def mark_enqueued(self, round_id: RoundId) -> None:
        """The round's workflow is in the queue for good."""
        with self._records.write() as session:
            session.get_one(NextRound, _key(round_id)).enqueued = True

    def documents(self, job_id: str) -> dict[int, dict[str, object]]:
        """By round what was asked and what was said, for people who open the rounds' files."""
        with self._records.read() as session:
            reviews = session.scalars(select(ReviewRound).filter_by(job_id=job_id).order_by(ReviewRound.round)).all()
            return {review.round: _document(session, review) for review in reviews}


def _key(round_id: RoundId) -> tuple[str, int]:
    return round_id.job_id, round_id.number


def _document(session: Session, review: ReviewRound) -> dict[str, object]:
    of_round = {"job_id": review.job_id, "round": review.round}
    pairs = session.scalars(select(CandidateTrack).filter_by(**of_round).order_by(CandidateTrack.rank))
    answers = session.scalars(select(Answer).filter_by(**of_round, late=False).order_by(Answer.id))
    return {
        "round": review.round,
        "opened": _iso(review.opened_ns),
        "sent": _iso(review.sent_ns),
        "deadline": _iso(review.deadline_ns),
        "closed": _iso(review.closed_ns),
        "outcome": review.outcome,
        "reminders": review.reminders,
        "pairs": [
            {
                "pair_id": pair.pair_id,
                "rank": pair.rank,
                "similarity": pair.similarity,
                "space_time": pair.space_time,
                "clip_uri": pair.clip_uri,
            }
            for pair in pairs
        ],
        "answers": [
            {
                "pair_id": answer.pair_id,
                "verdict": answer.verdict,
                "annotator": answer.annotator,
                "annotated": _iso(answer.annotated_ns),
                "comment": answer.comment,
            }
            for answer in answers
        ],
    }


def _iso(ns: int) -> str | None:
    return Instant(ns).isoformat() if ns else None
