"""What all tables have in common. Times are int64 nanoseconds of UTC; words of enumerations are in lower case: `waiting_for_review`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Float, ForeignKey, LargeBinary, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Words(TypeDecorator[str]):
    """Text that came from outside. Postgres takes no NUL in it, so that is replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value.replace("\0", "\ufffd") if value is not None else None


class Base(DeclarativeBase):
    """All tables of the records."""

    type_annotation_map = {  # noqa: RUF012
        int: BigInteger,
        float: Float,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[int]: JSON,
        bytes: LargeBinary,
    }


def job_key() -> Mapped[str]:
    """The job that a row belongs to, as a part of its key."""
    return mapped_column(ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True)
