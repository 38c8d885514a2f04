"""The deployment that is tormented, on S3 and Postgres, and what can be done to each of its processes."""

from __future__ import annotations

import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg

from tests.storage.records.postgres import new_database, postgres_server
from tests.whole.deployment import Theatre, staged
from throughline.cli.objectstore import local_s3
from throughline.cli.probes import http_ready

BUCKET = "chaos"
DATABASE, OBJECTS = "database", "objects"
VICTIMS = ("orchestrator", "ingest", "tracker", "renderer", "triton", "tier", "alert", OBJECTS, DATABASE)
_BACK_SECONDS = 120.0
_DOWN_SECONDS = 0.3


@dataclass
class Scene:
    """A theatre whose footage lies in S3 and whose records lie in Postgres."""

    theatre: Theatre
    database_url: str
    _prefixes: set[str] = field(default_factory=set)

    def upload(self, prefix: str) -> str:
        """The store's footage below a prefix of its own; its URI."""
        self._prefixes.add(prefix)
        s3 = local_s3(self.theatre.deployment.s3_endpoint_url)
        footage = self.theatre.store.footage
        for path in sorted(path for path in footage.rglob("*") if path.is_file()):
            s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{path.relative_to(footage)}", Body=path.read_bytes())
        return f"s3://{BUCKET}/{prefix}/"

    def kill(self, victim: str) -> None:
        """SIGKILL; whoever watches over the process starts it again."""
        if victim == DATABASE:
            self._restart_database()
            return
        self.theatre.kill(victim)
        if victim == OBJECTS:
            time.sleep(_DOWN_SECONDS)
            self.theatre.signal("ingest", signal.SIGSTOP)  # nobody sees the store without its objects
            self._restore_objects()
            self.theatre.signal("ingest", signal.SIGCONT)

    def pause(self, victim: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT a while later, with all that the process has started."""
        stopped = self._tree(self._pid(victim))
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            time.sleep(seconds if number == signal.SIGSTOP else 0)

    def recovered(self) -> None:
        """Return when everything serves again."""
        self.theatre.recovered()

    def _pid(self, victim: str) -> int:
        if victim == DATABASE:
            return int((self._data / "postmaster.pid").read_text().split()[0])
        return self.theatre.pid(victim)

    @staticmethod
    def _tree(pid: int) -> list[psutil.Process]:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]

    @property
    def _data(self) -> Path:
        return Path(parse_qs(urlsplit(self.database_url).query)["host"][0]) / "data"

    def _restart_database(self) -> None:
        """Kill Postgres with all its backends, and start it as it was started before."""
        pid = self._pid(DATABASE)
        command = psutil.Process(pid).cmdline()
        tree = self._tree(pid)
        for process in tree:
            process.kill()
        psutil.wait_procs(tree, timeout=30)
        owner = self._data.stat().st_uid
        with (self._data.parent / "log").open("ab") as log:
            subprocess.Popen(
                command,
                user=owner,
                group=owner,
                extra_groups=[],
                cwd="/",
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _BACK_SECONDS
        while True:
            try:
                psycopg.connect(self.database_url, connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _restore_objects(self) -> None:
        """The local store keeps its objects in memory; a real one would have them on its disk."""
        deadline = time.monotonic() + _BACK_SECONDS
        while not http_ready(f"{self.theatre.deployment.s3_endpoint_url}/"):
            assert time.monotonic() < deadline, "the object store did not come back"
            time.sleep(0.05)
        local_s3(self.theatre.deployment.s3_endpoint_url).create_bucket(Bucket=BUCKET)
        for prefix in self._prefixes:
            self.upload(prefix)


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """Everything as processes of its own, below an empty folder."""
    with postgres_server() as server:
        database_url = new_database(server)
        variables = {"THROUGHLINE_RETRY_MOST_SECONDS": "2", "THROUGHLINE_TAKEOVER_SECONDS": "15"}
        with staged(folder, database_url=database_url, variables=variables) as theatre:
            local_s3(theatre.deployment.s3_endpoint_url).create_bucket(Bucket=BUCKET)
            yield Scene(theatre, database_url)


def fresh_name(kind: str) -> str:
    """A name that no job and no prefix had."""
    return f"{kind}-{uuid.uuid4().hex[:8]}"
