"""The table of who works on jobs."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from throughline.storage.records.models.base import Base


class Executor(Base):
    """An executor that is alive. Starting it again makes another `life` under the same name; a life that is gone stays gone."""

    __tablename__ = "executors"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    life: Mapped[str] = mapped_column(String(160), unique=True)
    beat: Mapped[int]
