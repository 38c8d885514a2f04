"""What the receiver was told of finished films, once per request."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf import json_format
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from throughline.alert.records import MIGRATIONS, Announcement
from throughline.domain.errors import InvalidInput
from throughline.domain.time import Instant
from throughline.storage.database import open_database
from throughline.v1.alert_pb2 import TimelineReadyRequest


@dataclass(frozen=True, slots=True)
class Heard:
    """A message and when it came."""

    received: Instant
    request: TimelineReadyRequest


class Announcements:
    """The receiver's memory. Safe to use from several threads and processes."""

    def __init__(self, engine: Engine, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._engine = engine
        self._now_ns = now_ns

    @classmethod
    def open(cls, database_url: str) -> Announcements:
        return cls(open_database(database_url, MIGRATIONS))

    def close(self) -> None:
        self._engine.dispose()

    def take(self, request: TimelineReadyRequest) -> bool:
        """Keep a message; return False where its request_id was known already."""
        for field in ("request_id", "job_id"):
            if not getattr(request, field):
                raise InvalidInput(f"TimelineReady {field}: is empty; it is needed")
        try:
            with Session(self._engine) as session, session.begin():
                session.add(
                    Announcement(
                        request_id=request.request_id,
                        job_id=request.job_id,
                        received_ns=self._now_ns(),
                        document=json_format.MessageToJson(request, indent=None),
                    )
                )
        except IntegrityError:
            with Session(self._engine) as session:
                if session.get(Announcement, request.request_id) is None:
                    raise
            return False
        return True

    def all(self, job_id: str = "") -> list[Heard]:
        """Messages in the order in which they came, of one job or of all."""
        query = select(Announcement).order_by(Announcement.received_ns)
        with Session(self._engine) as session:
            return [
                Heard(Instant(row.received_ns), json_format.Parse(row.document, TimelineReadyRequest()))
                for row in session.scalars(query.filter_by(job_id=job_id) if job_id else query)
            ]
