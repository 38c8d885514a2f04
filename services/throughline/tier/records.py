"""The tables of the reference tier: rounds of review, their pairs, and the answers on their way to the orchestrator."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import BigInteger, ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MIGRATIONS = Path(__file__).parent / "migrations"


class Base(DeclarativeBase):
    """All tables of the tier."""


class ReviewRequest(Base):
    """A ReviewPairs that was taken; the same id again changes nothing."""

    __tablename__ = "review_requests"

    request_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    job_id: Mapped[str] = mapped_column(String(200), index=True)
    round: Mapped[int] = mapped_column(Integer)
    reminder: Mapped[int] = mapped_column(Integer)
    received_ns: Mapped[int] = mapped_column(BigInteger)


class Review(Base):
    """One round of a job, and how its answers are sent back."""

    __tablename__ = "reviews"
    __table_args__ = (UniqueConstraint("job_id", "round"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(String(200))
    round: Mapped[int] = mapped_column(Integer)
    callback_target: Mapped[str] = mapped_column(String(300))
    callback_token: Mapped[str] = mapped_column(String(300))
    deadline_ns: Mapped[int] = mapped_column(BigInteger)
    reminders: Mapped[int] = mapped_column(Integer)


class Pair(Base):
    """One pair of a round. `document` is the ReviewPair as it came, in protobuf's JSON."""

    __tablename__ = "pairs"
    __table_args__ = (UniqueConstraint("review_id", "pair_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    review_id: Mapped[int] = mapped_column(ForeignKey("reviews.id"), index=True)
    pair_id: Mapped[str] = mapped_column(String(200))
    rank: Mapped[int] = mapped_column(Integer)
    document: Mapped[str] = mapped_column(Text)


class Answer(Base):
    """What somebody said of a pair. Those of one `request_id` travel together, until `sent_ns` or `refused` says how that ended."""

    __tablename__ = "answers"

    id: Mapped[int] = mapped_column(primary_key=True)
    review_id: Mapped[int] = mapped_column(ForeignKey("reviews.id"), index=True)
    pair_id: Mapped[str] = mapped_column(String(200))
    verdict: Mapped[str] = mapped_column(String(10))
    annotator: Mapped[str] = mapped_column(String(200))
    annotated_ns: Mapped[int] = mapped_column(BigInteger)
    comment: Mapped[str] = mapped_column(Text)
    request_id: Mapped[str] = mapped_column(String(200), index=True)
    sent_ns: Mapped[int | None] = mapped_column(BigInteger)
    refused: Mapped[str] = mapped_column(Text)
