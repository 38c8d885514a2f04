"""Opens the records and gives sessions on them: one kind for reading, one for changing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, make_url
from sqlalchemy.orm import Session

from throughline.storage.database import open_database

MIGRATIONS = Path(__file__).parent / "migrations"


def normal_url(url: str) -> str:
    """The URL with the driver that is installed: postgresql:// and postgres:// mean psycopg 3."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme in ("postgresql", "postgres") else url


class Records:
    """The records at one URL. Safe to use from several threads, and from several processes at once."""

    def __init__(self, engine: Engine, guard: Callable[[Session], None] = lambda _: None) -> None:
        self._engine = engine
        self._guard = guard
        self._is_sqlite = engine.dialect.name == "sqlite"

    @classmethod
    def open(cls, url: str) -> Records:
        """Open (and create, where it is SQLite and missing) the database at `url`, its tables brought up to date."""
        return cls(open_database(make_url(normal_url(url)).render_as_string(hide_password=False), MIGRATIONS))

    def guarded(self, guard: Callable[[Session], None]) -> Records:
        """The same records for somebody who may lose the right to change them: `guard` looks first in every change, and raises."""
        return Records(self._engine, guard)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the records and changes nothing."""
        with Session(self._engine, expire_on_commit=False, autoflush=False) as session:
            if self._is_sqlite:
                session.connection().exec_driver_sql("BEGIN")
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are kept together when the block ends well, and not at all otherwise.

        On SQLite it is the only writer from its start. On Postgres, whoever reads before changing locks the job's row first.
        """
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            if self._is_sqlite:
                session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            self._guard(session)
            yield session

    def close(self) -> None:
        self._engine.dispose()
