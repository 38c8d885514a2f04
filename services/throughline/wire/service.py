"""Serving: one gRPC server with health, reflection, tokens and errors for any set of services, and its start and end as a process."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client.registry import Collector

from throughline.domain.errors import Conflict, ThroughlineError
from throughline.wire.auth import AuthInterceptor, TokensFile, is_loopback, require_loopback
from throughline.wire.ending import catch_ending
from throughline.wire.interceptors import ErrorInterceptor
from throughline.wire.logs import configure_logging
from throughline.wire.metrics import DiskSpace, MetricsServer
from throughline.wire.settings import ServiceSettings
from throughline.wire.telemetry import TelemetryInterceptor
from throughline.wire.tls import server_credentials
from throughline.wire.tracing import start_tracing

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """A servicer ready to be served.

    `name` is the folder's, such as ingest; `proto_names` are full, such as throughline.v1.Ingest; `close` gives back what it holds.
    """

    name: str
    proto_names: tuple[str, ...]
    add_to_server: Callable[[grpc.Server], None]
    close: Callable[[], None] = lambda: None
    collectors: tuple[Collector, ...] = ()
    """Metrics that are looked up when they are asked for."""


class RunningServer:
    """A server that takes calls at `address`, host:port."""

    def __init__(
        self,
        server: grpc.Server,
        services: Sequence[Service],
        address: str,
        state: health.HealthServicer,
        metrics: MetricsServer | None,
    ) -> None:
        self.address = address
        self.metrics = metrics
        """Where its metrics are served, if they are."""
        self._server = server
        self._services = services
        self._health = state

    def stop(self, grace_seconds: float = 0.0) -> None:
        """Take no further calls, cancel the running ones after `grace_seconds`, and close the services."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_seconds).wait()
        if self.metrics is not None:
            self.metrics.stop()
        for service in self._services:
            service.close()

    def wait(self) -> None:
        """Return when the server has stopped."""
        self._server.wait_for_termination()


def serve(services: Sequence[Service], settings: ServiceSettings) -> RunningServer:
    """Start a server for `services`; raise InvalidInput for unsafe or unusable settings, Conflict where the address is taken."""
    interceptors: list[grpc.ServerInterceptor] = [TelemetryInterceptor(), ErrorInterceptor()]
    if settings.tokens_file is not None:
        interceptors.append(AuthInterceptor(TokensFile(settings.tokens_file)))
    else:
        require_loopback(settings.listen)
    if settings.tls_certificate is None and not is_loopback(settings.listen):
        _log.warning(
            "%s is open to other machines in plain text; set THROUGHLINE_TLS_*, or see to it that the network encrypts",
            settings.listen,
        )
    server = grpc.server(
        ThreadPoolExecutor(settings.max_workers, "rpc"),
        interceptors=interceptors,
        maximum_concurrent_rpcs=settings.max_workers + settings.max_waiting,
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.max_connection_age_ms", int(1000 * settings.connection_seconds)),
        ],
    )
    address = _bind(server, settings)
    metrics = _serve_metrics(services, settings)
    state = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    names = [name for service in services for name in service.proto_names]
    for service in services:
        service.add_to_server(server)
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    server.start()
    for name in ["", *names]:
        state.set(name, health_pb2.HealthCheckResponse.SERVING)
    if settings.address_file is not None:
        partial = settings.address_file.with_name(f".{settings.address_file.name}.partial")
        partial.write_text(address)
        partial.replace(settings.address_file)
    _log.info("%s on %s", ", ".join(service.name for service in services), address)
    return RunningServer(server, services, address, state, metrics)


def _serve_metrics(services: Sequence[Service], settings: ServiceSettings) -> MetricsServer | None:
    if not settings.metrics_listen:
        return None
    folders = {"cache": settings.cache_dir}
    if settings.workspace_uri.startswith("file://"):
        folders["workspace"] = Path(settings.workspace_uri.removeprefix("file://"))
    own = [collector for service in services for collector in service.collectors]
    metrics = MetricsServer(settings.metrics_listen, [DiskSpace(folders), *own])
    _log.info("metrics on http://%s/metrics", metrics.address)
    return metrics


def _bind(server: grpc.Server, settings: ServiceSettings) -> str:
    tls, listen = server_credentials(settings.tls), settings.listen
    try:
        port = server.add_insecure_port(listen) if tls is None else server.add_secure_port(listen, tls)
    except RuntimeError as error:
        raise Conflict(
            f"can't listen on {settings.listen}: {error}; set THROUGHLINE_LISTEN to a free host:port"
        ) from error
    return f"{settings.listen.rpartition(':')[0]}:{port}"


def run(*builds: Callable[[], Service], name: str = "throughline") -> None:
    """Serve until SIGTERM or SIGINT; the whole main of a service's process. Exits with 1 where it can't start.

    `name` is what logs and traces call the process.
    """
    settings = ServiceSettings()
    configure_logging(settings.log_level, settings.log_format, name)
    wait_for_end = catch_ending()
    try:
        end_tracing = start_tracing(name)
        server = serve([build() for build in builds], settings)
    except ThroughlineError as error:
        sys.exit(f"can't start: {error}")
    wait_for_end()
    _log.info("ending")
    server.stop(settings.grace_seconds)
    last_resort = threading.Timer(settings.grace_seconds, _leave_work_behind)
    last_resort.daemon = True
    last_resort.start()
    end_tracing()


def _leave_work_behind() -> None:
    """End the process though a thread is still at work that was asked to stop; Python would wait for it for ever."""
    _log.warning("some work did not stop when it was asked to; ending without it")
    logging.shutdown()
    os._exit(0)
