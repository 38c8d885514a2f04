"""docker-compose.yml run as plain processes: its commands, environments and health checks, without Docker.

What Docker would do is done by hand and nothing more: names of services become loopback addresses and their ports free ones, secrets
and volumes become folders, Postgres is Debian's, the S3 server is moto's, and Triton the binary of the tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import yaml
from moto.server import ThreadedMotoServer

from tests.deployment.dockerfile import ROOT, read_dockerfile
from tests.storage.records.postgres import postgres_server
from throughline.cli.ports import choose_ports
from throughline.perception.triton.environment import ensure_environment
from throughline.perception.triton.process import TetheredProcess

LISTENERS = {
    **{(name, 7400): name for name in ("orchestrator", "ingest", "tracker", "renderer", "tier", "alert")},
    **{(name, 9464): f"{name}-metrics" for name in ("orchestrator", "ingest", "tracker", "renderer", "tier", "alert")},
    **{("triton", port): f"triton-{port}" for port in (8000, 8001, 8002)},
    ("postgres", 5432): "postgres",
    ("objects", 8333): "objects",
}
_TRITON_PORTS = {8000: "http", 8001: "grpc", 8002: "metrics"}
_PATIENCE_SECONDS = 240.0


def read_compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


class Compose:
    """The services of the CPU profile below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services: dict[str, dict[str, Any]] = read_compose()["services"]
        self.ports = choose_ports(tuple(LISTENERS.values()), 0)
        self.processes: dict[str, TetheredProcess] = {}
        self._image = read_dockerfile()["throughline"]
        self._secrets = folder / "secrets"
        (folder / "logs").mkdir()

    def write_secrets(self) -> None:
        """The first command of the documentation."""
        command = [sys.executable, "-m", "throughline", "secrets", str(self._secrets)]
        subprocess.run([*command, "--database", f"127.0.0.1:{self.ports['postgres']}"], check=True, timeout=120)

    def address(self, service: str, port: int) -> str:
        return f"127.0.0.1:{self.ports[LISTENERS[service, port]]}"

    def environment(self, service: str, home: str = "") -> dict[str, str]:
        """All that the container's process would see in its environment."""
        values = {**self._image.environment, **self.services[service].get("environment", {})}
        local = {name: self._local(value, service, home or service) for name, value in values.items() if name != "PATH"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("THROUGHLINE_", "AWS_"))}
        programs = str(Path(sys.executable).parent)
        return {**inherited, **local, "PATH": os.pathsep.join([programs, os.environ["PATH"]])}

    def command(self, service: str, home: str = "") -> list[str]:
        """The whole command of a service of Throughline's own image."""
        declared = self.services[service]
        entrypoint = declared.get("entrypoint") or self._image.command("ENTRYPOINT")
        return [self._local(word, service, home or service) for word in [*entrypoint, *declared.get("command", ())]]

    def start(self, service: str, replica: str = "", **changes: str) -> str:
        """Start a service, or one more of it under another name; `changes` go into its environment. Return its name here."""
        name = replica or service
        self._lay_out(service, name)
        environment = {**self.environment(service, name), **changes}
        program, *words = self.command(service, name)
        found = shutil.which(program, path=environment["PATH"])
        assert found is not None, f"there is no {program}"
        self.processes[name] = TetheredProcess([found, *words], environment, self._log(name))
        return name

    def start_triton(self) -> None:
        triton, environment = self.services["triton"], ensure_environment()
        flags = [self._local(word, "triton", "triton") for word in triton["command"][1:]]
        own = [f"--backend-directory={environment.backends}"]
        for port, kind in _TRITON_PORTS.items():
            own += [f"--{kind}-address=127.0.0.1", f"--{kind}-port={self.ports[f'triton-{port}']}"]
        variables = environment.variables(os.environ)
        command = [str(environment.server), *flags, *own]
        self.processes["triton"] = TetheredProcess(command, variables, self._log("triton"))

    def run_once(self, service: str, *words: str, instead: bool = False) -> str:
        """Run a one-shot service with `words` after its command, or `instead` of it as `docker compose exec` would; what it printed."""
        self._lay_out(service, service)
        command = self._image.command("ENTRYPOINT") if instead else self.command(service)
        done = subprocess.run(
            [*command, *words],
            env=self.environment(service),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{service}: {done.stdout}{done.stderr}"
        return done.stdout

    def is_healthy(self, service: str, **changes: str) -> bool:
        """The exit status of the health check's own command."""
        test = self.services[service]["healthcheck"]["test"]
        assert test[0] == "CMD"
        command = [self._local(word, service, service) for word in test[1:]]
        environment = {**self.environment(service), **changes}
        return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False).returncode == 0

    def wait_healthy(self, *services: str) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        for service in services:
            while not self.is_healthy(service):
                assert self.processes[service].wait(0) is None, f"{service} ended:\n{self.log(service)}"
                assert time.monotonic() < end, f"{service} is not healthy:\n{self.log(service)}"

    def log(self, name: str) -> str:
        return self._log(name).read_text(errors="replace")[-4000:]

    def close(self) -> None:
        for process in self.processes.values():
            process.stop(30)

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _local(self, word: str, service: str, home: str) -> str:
        """A word of a command or an environment, with addresses and folders as they are here."""
        for (host, port), listener in LISTENERS.items():
            here = str(self.ports[listener])
            word = re.sub(rf"\b{host}:{port}\b", f"127.0.0.1:{here}", word)
            if host == service:
                word = re.sub(rf"(0\.0\.0\.0|127\.0\.0\.1):{port}\b", f"127.0.0.1:{here}", word)
                word = re.sub(rf"--port={port}\b", f"--port={here}", word)
        for inside, outside in {
            "/run/secrets": self.folder / "run" / home,
            "/var/cache/throughline": self.folder / "cache" / home,
            "/models": ROOT / "model_repository",
        }.items():
            word = re.sub(rf"(^|[=:]){inside}(?=/|$)", rf"\g<1>{outside}", word)
        return word

    def _lay_out(self, service: str, home: str) -> None:
        """Put a service's secrets where they would be mounted, and make its volumes."""
        mounted = self.folder / "run" / home
        for folder in (mounted, self.folder / "cache" / home):
            folder.mkdir(parents=True, exist_ok=True)
        sources = read_compose()["secrets"]
        for secret in self.services[service].get("secrets", ()):
            source, target = (secret, secret) if isinstance(secret, str) else (secret["source"], secret["target"])
            (mounted / target).unlink(missing_ok=True)
            shutil.copy(self._secrets / Path(sources[source]["file"]).name, mounted / target)


@contextmanager
def running(folder: Path, overrides: Mapping[str, Mapping[str, str]], services: Sequence[str]) -> Iterator[Compose]:
    """Postgres, the object store, its buckets, Triton and `services`, healthy by their own checks.

    `overrides` is what to change in the environment of a service.
    """
    compose = Compose(folder)
    with ExitStack() as stack:
        compose.write_secrets()
        server = stack.enter_context(postgres_server(compose.ports["postgres"]))
        _make_databases(server)
        objects = ThreadedMotoServer(ip_address="127.0.0.1", port=compose.ports["objects"], verbose=False)
        objects.start()
        stack.callback(objects.stop)
        stack.callback(compose.close)
        compose.start_triton()
        compose.run_once("buckets")
        for service in services:
            compose.start(service, **overrides.get(service, {}))
        compose.wait_healthy("triton", *services)
        yield compose


def _make_databases(server: str) -> None:
    """What the image of Postgres makes on its first start: the user, its database, and those of the mounted script."""
    document = read_compose()
    variables = document["services"]["postgres"]["environment"]
    script = document["configs"]["more-databases"]["content"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {variables['POSTGRES_USER']} SUPERUSER LOGIN".encode())
        for statement in [
            f"CREATE DATABASE {variables['POSTGRES_DB']}",
            *filter(None, map(str.strip, script.split(";"))),
        ]:
            connection.execute(statement.encode())
