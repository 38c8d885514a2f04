"""Launches a real tritonserver as a child process, waits until it is ready and stops it. Inference is client.py's.

`python -m throughline.perception.triton.server --model-repository model_repository` serves until it is told to stop.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import IO, Literal, Self

from pydantic import Field
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict

from throughline.domain.errors import DependencyUnavailable, FailedPrecondition
from throughline.perception.triton import tether
from throughline.perception.triton.environment import TritonEnvironment, ensure_environment

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's Python backend puts its regions
_REGION_PREFIX = "throughline_triton_"
_LOG_TAIL_BYTES = 6000
_ATTEMPTS_AT_FREE_PORTS = 3
_log = logging.getLogger(__name__)


class TritonSettings(BaseSettings):
    """How the server is launched. From THROUGHLINE_TRITON_* variables, or arguments of the same names."""

    model_config = SettingsConfigDict(env_prefix="THROUGHLINE_TRITON_", frozen=True, cli_kebab_case=True)

    model_repository: Path = Field(default=Path("model_repository"), description="folder of models in Triton's layout")
    config: Literal["cpu", "tensorrt"] = Field(
        default="cpu", description="configs/cpu.pbtxt or config.pbtxt of each model"
    )
    host: str = Field(default="127.0.0.1", description="address that all three ports listen on")
    grpc_port: int = Field(default=0, ge=0, le=65535, description="0 takes a free port")
    http_port: int = Field(default=0, ge=0, le=65535, description="0 takes a free port")
    metrics_port: int = Field(default=0, ge=0, le=65535, description="0 takes a free port")
    log: Path | None = Field(
        default=None, description="file for the server's log; without one it goes to standard error"
    )
    threads: int = Field(
        default=0, ge=0, description="CPU threads of one model instance; 0 leaves it to the model's config"
    )
    start_timeout_seconds: float = Field(default=120.0, gt=0, description="time the models may take to load")
    stop_timeout_seconds: float = Field(
        default=15.0, gt=0, description="time to finish running requests, then it is killed"
    )


class TritonServer:
    """One tritonserver. A context manager: ready when entered, gone when left.

    It also ends when this process dies, however that happens, and takes its backend processes along.
    """

    def __init__(self, settings: TritonSettings, environment: TritonEnvironment | None = None) -> None:
        self._settings = settings
        self._environment = environment
        self._region_prefix = f"{_REGION_PREFIX}{os.getpid()}_{uuid.uuid4().hex[:8]}_"
        self._process: subprocess.Popen[bytes] | None = None
        self._exited = threading.Event()
        self._ports: tuple[int, int, int] = (0, 0, 0)

    @property
    def grpc_address(self) -> str:
        return f"{self._settings.host}:{self._ports[0]}"

    @property
    def http_address(self) -> str:
        return f"{self._settings.host}:{self._ports[1]}"

    @property
    def metrics_address(self) -> str:
        return f"{self._settings.host}:{self._ports[2]}"

    @property
    def addresses(self) -> tuple[str, str, str]:
        """Of gRPC, HTTP and metrics, each as `host:port`."""
        return self.grpc_address, self.http_address, self.metrics_address

    @property
    def pid(self) -> int:
        """Of tritonserver itself."""
        return self._started().pid

    def start(self) -> None:
        """Launch and wait until every model is ready.

        Raises FailedPrecondition when there is no model repository, DependencyUnavailable with the end of the log when the
        server ends or is not ready in time.
        """
        if not self._settings.model_repository.is_dir():
            raise FailedPrecondition(
                f"no model repository at {self._settings.model_repository}; make one with `throughline models build`"
            )
        environment = self._environment or ensure_environment()
        _remove_orphaned_regions()
        for attempt in range(1, _ATTEMPTS_AT_FREE_PORTS + 1):
            try:
                self._launch(environment)
                self._wait_ready()
                break
            except BaseException as failure:
                self.stop()
                port_taken = 0 in self._wanted_ports() and "already in use" in str(failure)
                if not port_taken or attempt == _ATTEMPTS_AT_FREE_PORTS:
                    raise

    def wait(self) -> int:
        """Wait for the server to end by itself; its exit status."""
        process = self._started()
        self._exited.wait()
        return process.returncode

    def stop(self) -> None:
        """Ask it to finish what it runs, then make it end. Does nothing when it has ended."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is None:
            process.terminate()
            if not self._exited.wait(self._settings.stop_timeout_seconds):
                _log.warning("tritonserver did not end within %g s; killing it", self._settings.stop_timeout_seconds)
        with contextlib.suppress(ProcessLookupError):  # the group holds the backends' processes too
            os.killpg(process.pid, signal.SIGKILL)
        self._exited.wait()
        for region in _SHARED_MEMORY.glob(f"{self._region_prefix}*"):
            region.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise FailedPrecondition("this Triton server is not running; call start()")
        return self._process

    def _wanted_ports(self) -> tuple[int, int, int]:
        return self._settings.grpc_port, self._settings.http_port, self._settings.metrics_port

    def _choose_ports(self) -> tuple[int, int, int]:
        with contextlib.ExitStack() as held:  # all held at once, so that no two are the same
            sockets = [held.enter_context(socket.socket()) for _ in range(3)]
            for each in sockets:
                each.bind((self._settings.host, 0))
            grpc, http_, metrics = (
                wanted or each.getsockname()[1] for wanted, each in zip(self._wanted_ports(), sockets, strict=True)
            )
        return grpc, http_, metrics

    def _command(self, environment: TritonEnvironment) -> list[str]:
        settings, (grpc, http_, metrics) = self._settings, self._ports
        return [
            str(environment.server),
            f"--model-repository={settings.model_repository.absolute()}",
            f"--backend-directory={environment.backends}",
            f"--backend-config=python,shm-region-prefix-name={self._region_prefix}",
            *([] if settings.config == "tensorrt" else [f"--model-config-name={settings.config}"]),
            "--disable-auto-complete-config",
            f"--grpc-address={settings.host}",
            f"--grpc-port={grpc}",
            f"--http-address={settings.host}",
            f"--http-port={http_}",
            f"--metrics-address={settings.host}",
            f"--metrics-port={metrics}",
            f"--exit-timeout-secs={max(1, int(settings.stop_timeout_seconds * 2 / 3))}",
        ]

    def _launch(self, environment: TritonEnvironment) -> None:
        self._ports = self._choose_ports()
        variables = environment.variables(os.environ)
        if self._settings.threads:
            variables["THROUGHLINE_INFERENCE_THREADS"] = str(self._settings.threads)
        command = [sys.executable, "-I", tether.__file__, str(os.getpid()), *self._command(environment)]
        launched = threading.Event()
        self._exited = exited = threading.Event()
        failures: list[OSError] = []

        def keep() -> None:
            """Forks and stays until the child ends: the kernel stops the child when this very thread ends."""
            try:
                with self._open_log() as log:
                    process = subprocess.Popen(
                        command, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                    )
            except OSError as failure:
                failures.append(failure)
                launched.set()
                return
            self._process = process
            launched.set()
            process.wait()
            exited.set()

        threading.Thread(target=keep, name="tritonserver", daemon=True).start()
        launched.wait()
        if failures:
            raise FailedPrecondition(f"tritonserver could not be launched: {failures[0]}") from failures[0]

    def _open_log(self) -> contextlib.AbstractContextManager[IO[bytes] | int]:
        if self._settings.log is None:
            return contextlib.nullcontext(2)
        self._settings.log.parent.mkdir(parents=True, exist_ok=True)
        return self._settings.log.open("wb")

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + self._settings.start_timeout_seconds
        while not self._answers_ready():
            if self._exited.wait(0.1):
                status = self._started().returncode
                raise DependencyUnavailable(
                    f"tritonserver ended with status {status} while starting; {self._log_tail()}"
                )
            if time.monotonic() > deadline:
                raise DependencyUnavailable(
                    f"tritonserver was not ready within {self._settings.start_timeout_seconds:g} s; {self._log_tail()}"
                )

    def _answers_ready(self) -> bool:
        connection = http.client.HTTPConnection(self.http_address, timeout=1)
        try:
            connection.request("GET", "/v2/health/ready")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _log_tail(self) -> str:
        if self._settings.log is None:
            return "its log stands above"
        tail = self._settings.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        return f"the end of its log, {self._settings.log}:\n{tail}"


def _remove_orphaned_regions() -> None:
    """Shared memory of servers whose launcher is dead; a killed server cannot remove its own."""
    for region in _SHARED_MEMORY.glob(f"{_REGION_PREFIX}*"):
        launcher = region.name.removeprefix(_REGION_PREFIX).split("_")[0]
        if launcher.isdecimal() and not Path("/proc", launcher).exists():
            region.unlink(missing_ok=True)


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit status is tritonserver's own when it ends before that."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = CliApp.run(TritonSettings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with TritonServer(settings) as server:
            _log.info("triton ready: grpc %s, http %s, metrics %s", *server.addresses)
            return server.wait() or 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
