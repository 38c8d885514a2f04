"""Launches a real tritonserver as a child process, waits until it is ready and stops it. Inference is client.py's.

`python -m throughline.perception.triton.server --model-repository model_repository` serves until it is told to stop.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import secrets
import signal
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import Literal, Self

from pydantic import Field
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict

from throughline.domain.errors import DependencyUnavailable, FailedPrecondition
from throughline.perception.triton.environment import TritonEnvironment, ensure_environment
from throughline.perception.triton.process import TetheredProcess
from throughline.perception.triton.rpc import TLS_SETTINGS
from throughline.wire.tls import TlsFiles, server_credentials

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's Python backend puts its regions
_REGION_PREFIX = "throughline_triton_"
_LOG_LINES, _LOG_LINE = 12, 1000
_ATTEMPTS_AT_FREE_PORTS = 3
_ALL_OF_HTTP_BUT_HEALTH = "metadata,inference,shared-memory,model-config,model-repository,statistics,trace,logging"
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
    tls_certificate: Path | None = Field(
        default=None, description="certificate chain of the gRPC port, PEM; without one it serves plain text"
    )
    tls_key: Path | None = Field(default=None, description="key of the certificate, PEM")
    tls_ca: Path | None = Field(default=None, description="authority of client certificates, PEM")
    tls_require_client_certificate: bool = Field(
        default=False, description="only serve clients with a certificate of tls_ca"
    )
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

    @property
    def tls(self) -> TlsFiles:
        return TlsFiles(
            TLS_SETTINGS, self.tls_certificate, self.tls_key, self.tls_ca, self.tls_require_client_certificate
        )


class TritonServer:
    """One tritonserver. A context manager: ready when entered, gone when left.

    It also ends when this process dies, however that happens, and takes its backend processes along.
    """

    def __init__(self, settings: TritonSettings, environment: TritonEnvironment | None = None) -> None:
        self._settings = settings
        self._environment = environment
        self._region_prefix = f"{_REGION_PREFIX}{os.getpid()}_{uuid.uuid4().hex[:8]}_"
        self._process: TetheredProcess | None = None
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

        Raises FailedPrecondition when there is no model repository, InvalidInput for certificates that can't be used,
        DependencyUnavailable with the end of the log when the server ends or is not ready in time.
        """
        if not self._settings.model_repository.is_dir():
            raise FailedPrecondition(
                f"no model repository at {self._settings.model_repository}; make one with `throughline models build`"
            )
        environment = self._environment or ensure_environment()
        _remove_orphaned_regions()
        for attempt in range(1, _ATTEMPTS_AT_FREE_PORTS + 1):
            try:
                self._process = self._launch(environment)
                self._wait_ready(self._process)
                self._process.guard_children()
                break
            except BaseException as failure:
                self.stop()
                port_taken = 0 in self._wanted_ports() and "already in use" in str(failure)
                if not port_taken or attempt == _ATTEMPTS_AT_FREE_PORTS:
                    raise

    def wait(self) -> int:
        """Wait for the server to end by itself; its exit status. It ends too when a backend's process dies: it would not start that
        one again, and still call itself ready."""
        return self._started().wait() or 0

    def stop(self) -> None:
        """Ask it to finish what it runs, then make it end. Does nothing when it was not started."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.stop(self._settings.stop_timeout_seconds)
        for region in _SHARED_MEMORY.glob(f"{self._region_prefix}*"):
            region.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _started(self) -> TetheredProcess:
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
            "--model-control-mode=explicit",  # a model is replaced when that is asked for, never by a file that changes
            "--load-model=*",
            f"--grpc-address={settings.host}",
            f"--grpc-port={grpc}",
            f"--http-address={settings.host}",
            f"--http-port={http_}",
            f"--metrics-address={settings.host}",
            f"--metrics-port={metrics}",
            *_tls_options(settings.tls),
            f"--exit-timeout-secs={max(1, int(settings.stop_timeout_seconds * 2 / 3))}",
        ]

    def _launch(self, environment: TritonEnvironment) -> TetheredProcess:
        self._ports = self._choose_ports()
        variables = environment.variables(os.environ)
        if self._settings.threads:
            variables["THROUGHLINE_INFERENCE_THREADS"] = str(self._settings.threads)
        return TetheredProcess(self._command(environment), variables, self._settings.log)

    def _wait_ready(self, process: TetheredProcess) -> None:
        deadline = time.monotonic() + self._settings.start_timeout_seconds
        while not self._answers_ready():
            status = process.wait(timeout_seconds=0.1)
            if status is not None:
                raise DependencyUnavailable(
                    f"tritonserver ended with status {status} while starting; {self._log_end()}"
                )
            if time.monotonic() > deadline:
                raise DependencyUnavailable(
                    f"tritonserver was not ready within {self._settings.start_timeout_seconds:g} s; {self._log_end()}"
                )

    def _answers_ready(self) -> bool:
        """Whether the models are loaded and the last of its services to start, metrics, answers too."""
        return _answers(self.http_address, "/v2/health/ready") and _answers(self.metrics_address, "/metrics")

    def _log_end(self) -> str:
        """What the log says about a failure, without the tables that Triton prints after it."""
        if self._settings.log is None:
            return "its log stands above"
        lines = self._settings.log.read_text(errors="replace").splitlines()
        telling = [line[:_LOG_LINE] for line in lines if line and line[0] not in "+|I"]
        return "\n".join([f"from its log, {self._settings.log}:", *telling[-_LOG_LINES:]])


def _tls_options(tls: TlsFiles) -> list[str]:
    """Options for TLS on the gRPC port. HTTP can't have it, so that all but its health is closed: by a key that nobody knows."""
    if server_credentials(tls) is None:
        return []
    return [
        f"--grpc-use-ssl{'-mutual' if tls.require_client_certificate else ''}=true",
        f"--grpc-server-cert={tls.certificate}",
        f"--grpc-server-key={tls.key}",
        *([f"--grpc-root-cert={tls.ca}"] if tls.require_client_certificate else []),
        f"--http-restricted-api={_ALL_OF_HTTP_BUT_HEALTH}:closed={secrets.token_urlsafe(32)}",
    ]


def _answers(address: str, path: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


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
