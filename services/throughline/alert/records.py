"""The table of the reference alert receiver: what it was told, once per request."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MIGRATIONS = Path(__file__).parent / "migrations"


class Base(DeclarativeBase):
    """All tables of the alert receiver."""


class Announcement(Base):
    """A TimelineReady that was taken. `document` is the request as it came, in protobuf's JSON."""

    __tablename__ = "announcements"

    request_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    job_id: Mapped[str] = mapped_column(String(200), index=True)
    received_ns: Mapped[int] = mapped_column(BigInteger, index=True)
    document: Mapped[str] = mapped_column(Text)
