"""A Postgres server of a test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgres_server() -> Iterator[str]:
    """Its URL; the test is skipped where this machine has no programs for one."""
    programs = [Path("/usr/local/bin"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    folder = next((program for program in programs if (program / "initdb").exists()), None)
    if folder is None:
        pytest.skip("no Postgres server on this machine")
    with tempfile.TemporaryDirectory(prefix="throughline-pg-") as place:
        data, user = Path(place) / "data", None
        if os.geteuid() == 0:  # Postgres refuses to run as root
            user = "postgres"
            try:
                shutil.chown(place, user)
            except LookupError:
                pytest.skip("Postgres does not run as root, and there is no user postgres")

        def run(*command: str) -> None:
            subprocess.run(command, check=True, capture_output=True, user=user, cwd=place, timeout=60)

        try:
            run(str(folder / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync")
            options = f"-c listen_addresses= -c unix_socket_directories={place} -c fsync=off"
            run(str(folder / "pg_ctl"), "-D", str(data), "-w", "-o", options, "-l", f"{place}/log", "start")
        except (subprocess.CalledProcessError, OSError) as error:
            pytest.skip(f"Postgres does not start here: {error}")
        yield f"postgresql://postgres@/postgres?host={place}"
        run(str(folder / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
