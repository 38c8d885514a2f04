"""Tables of what people are asked and answer, and of the films that come of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from throughline.storage.records.models.base import Base, Words, job_key


class NextRound(Base):
    """A round after the first that was asked for when the one before it closed."""

    __tablename__ = "next_rounds"

    job_id: Mapped[str] = job_key()
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    requested_ns: Mapped[int]
    enqueued: Mapped[bool] = mapped_column(index=True)


class ReviewRound(Base):
    """A round of review. `sent_ns` is 0 before the tier has it, `closed_ns` 0 while it is open, `next_reminder_ns` 0 without one."""

    __tablename__ = "review_rounds"
    __table_args__ = (
        Index("review_rounds_by_deadline", "closed_ns", "deadline_ns"),
        Index("review_rounds_by_reminder", "closed_ns", "next_reminder_ns"),
    )

    job_id: Mapped[str] = job_key()
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    opened_ns: Mapped[int]
    sent_ns: Mapped[int]
    deadline_ns: Mapped[int]
    closed_ns: Mapped[int]
    outcome: Mapped[str] = mapped_column(String(16))
    reminders: Mapped[int] = mapped_column(Integer)
    next_reminder_ns: Mapped[int]


class Answer(Base):
    """What a person said of a pair; `late` where the round had closed."""

    __tablename__ = "answers"
    __table_args__ = (Index("answers_by_pair", "job_id", "round", "pair_id"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.job_id", ondelete="CASCADE"))
    round: Mapped[int] = mapped_column(Integer)
    pair_id: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(8))
    annotator: Mapped[str] = mapped_column(Words)
    annotated_ns: Mapped[int]
    received_ns: Mapped[int]
    comment: Mapped[str] = mapped_column(Words)
    late: Mapped[bool]


class Callback(Base):
    """An AnnotationResult that was taken, and what was answered (protobuf); the same request_id gets the same answer."""

    __tablename__ = "callbacks"

    request_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.job_id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(String(64))
    response: Mapped[bytes]


class Film(Base):
    """A film of a job: which pairs it shows and which answers said so, fixed when it was asked for, and what came of it.

    `state` is requested, ready or failed; `answer_ids` is missing of films that were asked for before it was kept.
    """

    __tablename__ = "films"
    __table_args__ = (UniqueConstraint("request_id"),)

    job_id: Mapped[str] = job_key()
    revision: Mapped[int] = mapped_column(Integer, primary_key=True)
    request_id: Mapped[str | None] = mapped_column(String(128))
    requested_ns: Mapped[int]
    pair_ids: Mapped[list[str]]
    answer_ids: Mapped[list[int] | None]
    partial: Mapped[bool]
    query_only: Mapped[bool]
    state: Mapped[str] = mapped_column(String(12))
    enqueued: Mapped[bool] = mapped_column(index=True)
    film_uri: Mapped[str] = mapped_column(Words, default="")
    timeline_json_uri: Mapped[str] = mapped_column(Words, default="")
    contact_sheet_uri: Mapped[str] = mapped_column(Words, default="")
    evidence_uri: Mapped[str] = mapped_column(Words, default="")
    duration_ns: Mapped[int] = mapped_column(BigInteger, default=0)
