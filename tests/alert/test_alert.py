"""The alert receiver as a server, and the check of a webhook's signature."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from throughline.alert.__main__ import build
from throughline.alert.announcements import Announcements
from throughline.alert.records import MIGRATIONS, Base
from throughline.alert.settings import AlertSettings
from throughline.alert.signature import verify_signature
from throughline.domain.errors import InvalidInput, Unauthenticated
from throughline.storage.database import open_database
from throughline.v1.alert_pb2 import TimelineReadyRequest
from throughline.v1.alert_pb2_grpc import AlertStub
from throughline.v1.orchestrator_pb2 import TimelineResult
from throughline.wire.client import connect, translated_errors
from throughline.wire.service import serve

MESSAGE = TimelineReadyRequest(
    request_id="a-1", job_id="job-1", timeline=TimelineResult(revision=1, film_uri="file:///film.mp4")
)


def test_a_message_is_kept_once_however_often_it_comes(tmp_path: Path) -> None:
    settings = AlertSettings(alert_database_url=f"sqlite:///{tmp_path / 'alert.db'}")
    server = serve([build(settings)], settings)
    try:
        with connect(server.address, settings) as channel:
            stub = AlertStub(channel)
            stub.TimelineReady(MESSAGE)
            stub.TimelineReady(MESSAGE)
            with pytest.raises(InvalidInput, match="request_id"), translated_errors("alert"):
                stub.TimelineReady(TimelineReadyRequest(job_id="job-1"))
    finally:
        server.stop()
    announcements = Announcements.open(settings.alert_database_url)
    (heard,) = announcements.all("job-1")
    assert heard.request == MESSAGE
    assert announcements.all("job-2") == []
    announcements.close()


def test_the_tables_are_those_of_the_migrations(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'alert.db'}", MIGRATIONS)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def _signed(body: bytes, secret: bytes, moment: int) -> str:
    digest = hmac.new(secret, f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def test_a_signed_message_is_believed() -> None:
    verify_signature(_signed(b"{}", b"key", 1000), b"{}", b"key", now=1200)


def test_one_of_several_signatures_is_enough_while_secrets_change() -> None:
    header = f"{_signed(b'{}', b'old', 1000)},v1={_signed(b'{}', b'new', 1000).partition('v1=')[2]}"
    verify_signature(header, b"{}", b"new", now=1000)


@pytest.mark.parametrize(
    ("header", "body", "now", "words"),
    [
        (_signed(b"{}", b"key", 1000), b"{ }", 1000, "does not fit the body"),
        (_signed(b"{}", b"other", 1000), b"{}", 1000, "does not fit the body"),
        (_signed(b"{}", b"key", 1000).replace("t=1000", "t=1100"), b"{}", 1100, "does not fit the body"),
        (_signed(b"{}", b"key", 1000), b"{}", 2000, "1000 s off"),
        ("", b"{}", 1000, "has no time"),
        ("v1=ab", b"{}", 1000, "has no time"),
        ("t=1000,v1=é", b"{}", 1000, "does not fit the body"),
    ],
)
def test_a_changed_foreign_old_or_malformed_message_is_not(header: str, body: bytes, now: float, words: str) -> None:
    with pytest.raises(Unauthenticated, match=words):
        verify_signature(header, body, b"key", now)
