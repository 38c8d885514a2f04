"""The tables come up from nothing, on SQLite and on Postgres, and are what the models say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, select
from sqlalchemy.exc import IntegrityError

from tests.storage.records.postgres import postgres_server
from throughline.storage.records import Records, normal_url
from throughline.storage.records.database import MIGRATIONS
from throughline.storage.records.models import Base, Job, JobTask


def new_job(job_id: str) -> Job:
    return Job(
        job_id=job_id,
        request_id=f"request-{job_id}",
        request_digest="",
        state="queued",
        stage="unspecified",
        created_ns=1_767_225_600_123_456_789,
        ended_ns=0,
        footage_uri="s3://foot\0age/",
        camera="cam1",
        query_label="",
        query_iou=0.0,
        error="",
        labels={"entrée": "1"},
        callback_token="",
        enqueued=False,
        version=1,
    )


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/folder/records.db"
    return str(request.getfixturevalue("postgres"))


def test_the_tables_are_what_the_models_say(url: str) -> None:
    Records.open(url).close()
    engine = create_engine(normal_url(url))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_opening_again_and_at_once_changes_nothing(url: str) -> None:
    opened: list[Records] = []
    threads = [threading.Thread(target=lambda: opened.append(Records.open(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    for records in opened:
        records.close()


def test_what_is_written_is_read_and_a_failed_block_leaves_nothing(url: str) -> None:
    records = Records.open(url)
    with records.write() as session:
        session.add(new_job("a"))
    with pytest.raises(IntegrityError), records.write() as session:
        session.add_all([new_job("b"), new_job("a")])
    with records.read() as session:
        jobs = list(session.scalars(select(Job)))
    assert [(job.job_id, job.created_ns, job.labels) for job in jobs] == [
        ("a", 1_767_225_600_123_456_789, {"entrée": "1"})
    ]
    with pytest.raises(IntegrityError), records.write() as session:
        session.add(JobTask(job_id="nobody", name="x"))
    with records.write() as session:
        job = session.get_one(Job, "a")
        assert job.footage_uri == "s3://foot\ufffdage/"  # Postgres takes no NUL
        session.delete(job)
    records.close()


def test_writers_take_turns(url: str) -> None:
    records = Records.open(url)
    with records.write() as session:
        session.add(new_job("counted"))

    def count() -> None:
        for _ in range(20):
            with records.write() as session:
                session.get_one(Job, "counted", with_for_update=True).version += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with records.write() as session:
        job = session.get_one(Job, "counted")
        assert job.version == 81
        session.delete(job)
    records.close()


def test_the_tables_go_down_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/records.db"
    Records.open(url).close()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(url)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection)
        with Operations.context(context):
            for script in ScriptDirectory.from_config(config).walk_revisions():
                script.module.downgrade()
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
    engine.dispose()
