"""Opens a relational database by URL and brings its tables up to date with Alembic. What the tables are is said elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import IdleInTransactionSessionTimeout
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError

_BUSY_SECONDS = 30
_MIGRATION_LOCK = 7_461_105
IDLE_SECONDS = 10
"""Postgres ends a transaction whose client asks nothing for so long: frozen, or gone without a word, while others wait for its locks."""


def open_database(url: str, migrations: Path) -> Engine:
    """The database at `url` (sqlite:///path or postgresql+psycopg://...), its tables at the newest of `migrations`.

    `migrations` is a folder with Alembic revisions below `versions/`. Safe in several processes at once: one migrates, the others wait.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
    else:
        engine = create_engine(url, pool_pre_ping=True)
        event.listen(engine, "connect", _prepare_postgres)
        event.listen(engine, "handle_error", _take_for_lost)
    with engine.connect() as connection:
        _lock(connection)
        _upgrade(connection, migrations)
        connection.commit()
    return engine


def revisions(url: str, migrations: Path) -> tuple[str | None, str]:
    """The revision that the tables of a database are at, None before the first, and the newest; nothing is changed."""
    newest = ScriptDirectory.from_config(_config(migrations)).get_current_head()
    if newest is None:
        raise ValueError(f"there are no migrations in {migrations}")
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision(), newest
    finally:
        engine.dispose()


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Readers beside a writer, and nothing lost with the process; checked references."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _prepare_postgres(connection: Any, _: object) -> None:
    connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
    connection.commit()


def _take_for_lost(context: ExceptionContext) -> None:
    """A connection that the server ended is a connection lost, like any other: the change can be tried again."""
    error = context.original_exception
    if isinstance(error, IdleInTransactionSessionTimeout):
        context.is_disconnect = True
        raise OperationalError(context.statement, context.parameters, error) from error


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})


def _config(migrations: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    return config


def _upgrade(connection: Connection, migrations: Path) -> None:
    config = _config(migrations)
    scripts = ScriptDirectory.from_config(config)

    def steps(revision: Any, _: MigrationContext) -> Any:
        return scripts._upgrade_revs("head", revision)

    with EnvironmentContext(config, scripts, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()
