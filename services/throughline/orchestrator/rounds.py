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
from throughline.orchestrator.ranking import ROUND
from throughline.storage.records import Records
from throughline.storage.records.models import Answer, CandidateTrack, ReviewRound, StageRun

DEFAULT_DEADLINE_SECONDS = 259_200


@dataclass(frozen=True, slots=True)
class Reminder:
    """The `number`-th reminder of a job's round, from 1."""

    job_id: str
    number: int


def close_round(session: Session, review: ReviewRound, outcome: str, now_ns: int) -> None:
    """Close an open round and ask for the film of what it gave. The caller holds the job's row."""
    now_ns = max(now_ns, review.opened_ns)  # the clock may have been set back since
    review.closed_ns, review.outcome = now_ns, outcome
    session.add(
        StageRun(job_id=review.job_id, stage="review", subject="", started_ns=review.opened_ns, ended_ns=now_ns, runs=1)
    )
    session.flush()
    plan_film(session, review.job_id, now_ns)


class Rounds:
    """The rounds of all jobs."""

    def __init__(self, records: Records, reminder_seconds: float, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._records = records
        self._reminder_ns = seconds_to_ns(reminder_seconds)
        self._now_ns = now_ns

    def open(self, job_id: str, deadline_seconds: int) -> None:
        """Open the round, unless that was done. Answers are welcome from here on; its time runs from when the tier has it."""
        with self._records.write() as session:
            locked(session, job_id)
            if session.get(ReviewRound, (job_id, ROUND)) is None:
                now = self._now_ns()
                session.add(
                    ReviewRound(
                        job_id=job_id,
                        round=ROUND,
                        opened_ns=now,
                        sent_ns=0,
                        deadline_ns=now + deadline_seconds * NS_PER_SECOND,
                        closed_ns=0,
                        outcome="",
                        reminders=0,
                        next_reminder_ns=0,
                    )
                )

    def get(self, job_id: str) -> ReviewRound:
        with self._records.read() as session:
            return session.get_one(ReviewRound, (job_id, ROUND))

    def open_pairs(self, job_id: str) -> list[CandidateTrack]:
        """Pairs that nobody has answered; none once the round is closed."""
        with self._records.read() as session:
            review = session.get_one(ReviewRound, (job_id, ROUND))
            return [] if review.closed_ns else open_pairs(session, job_id)

    def mark_sent(self, job_id: str) -> None:
        """The tier has the pairs: from now on it has all the time that it was promised."""
        with self._records.write() as session:
            job, review = locked(session, job_id), session.get_one(ReviewRound, (job_id, ROUND))
            if not review.sent_ns:
                review.sent_ns = self._now_ns()
                review.deadline_ns += review.sent_ns - review.opened_ns
                review.next_reminder_ns = review.sent_ns + self._reminder_ns if self._reminder_ns else 0
                job.version += 1

    def expire(self) -> None:
        """Close the rounds whose time is up."""
        for job_id in self._due(ReviewRound.deadline_ns):
            with self._records.write() as session:
                job, review = locked(session, job_id), session.get_one(ReviewRound, (job_id, ROUND))
                if not review.closed_ns:
                    close_round(session, review, "deadline", self._now_ns())
                    job.version += 1

    def due_reminders(self) -> list[Reminder]:
        """Reminders that should be on their way."""
        if not self._reminder_ns:
            return []
        return [Reminder(job_id, self.get(job_id).reminders + 1) for job_id in self._due(ReviewRound.next_reminder_ns)]

    def _due(self, column: InstrumentedAttribute[int]) -> list[str]:
        """Jobs whose round is open, was sent, and has the moment of `column` behind it."""
        query = select(ReviewRound.job_id).where(
            ReviewRound.closed_ns == 0, ReviewRound.sent_ns > 0, column.between(1, self._now_ns())
        )
        with self._records.read() as session:
            return list(session.scalars(query))

    def mark_reminded(self, reminder: Reminder) -> None:
        """The reminder's workflow is in the queue for good; the next one is due a full pause after this one was."""
        with self._records.write() as session:
            locked(session, reminder.job_id)
            review = session.get_one(ReviewRound, (reminder.job_id, ROUND))
            if review.reminders < reminder.number:
                review.reminders = reminder.number
                review.next_reminder_ns = (
                    max(review.next_reminder_ns, self._now_ns() - self._reminder_ns) + self._reminder_ns
                )

    def document(self, job_id: str) -> dict[str, object] | None:
        """What was asked and what was said, for people who open the round's file; None where there was no round."""
        with self._records.read() as session:
            review = session.get(ReviewRound, (job_id, ROUND))
            if review is None:
                return None
            pairs = session.scalars(
                select(CandidateTrack).filter_by(job_id=job_id, round=ROUND).order_by(CandidateTrack.rank)
            )
            answers = session.scalars(
                select(Answer).filter_by(job_id=job_id, round=ROUND, late=False).order_by(Answer.id)
            )
            return {
                "round": ROUND,
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
