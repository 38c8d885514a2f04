"""Asks a server whether it serves."""

from __future__ import annotations

import urllib.error
import urllib.request
from http import HTTPStatus

import grpc
import typer
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from throughline.wire.settings import ServiceSettings
from throughline.wire.tls import open_channel

_PROBE_SECONDS = 2.0


def serving(address: str) -> bool:
    """Whether the gRPC server at host:port of this machine, with this process's THROUGHLINE_TLS_*, says that it serves."""
    return _serves(_channel(address, ServiceSettings()))


def healthy() -> None:
    """Ask the service of this container or machine, which has the same THROUGHLINE_* variables, whether it serves.

    The exit status says it: 0 for yes. It listens on THROUGHLINE_LISTEN; with TLS, THROUGHLINE_TLS_CA must be its authority.
    """
    settings = ServiceSettings()
    address = f"127.0.0.1:{settings.listen.rpartition(':')[2]}"
    if not _serves(_channel(address, settings)):
        typer.echo(f"nothing serves at {address}", err=True)
        raise typer.Exit(1)


def _channel(address: str, settings: ServiceSettings) -> grpc.Channel:
    """To a server on this machine, which is called by a name that its certificate has."""
    if settings.tls_certificate is None or settings.tls_ca is None:
        return grpc.insecure_channel(address)
    certificate = x509.load_pem_x509_certificate(settings.tls_certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    called = names.get_values_for_type(x509.DNSName)[:1]
    return open_channel(address, settings.tls, [("grpc.ssl_target_name_override", name) for name in called])


def _serves(channel: grpc.Channel) -> bool:
    with channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_PROBE_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def http_ready(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as answer:  # noqa: S310 - only http:// on loopback
            return bool(answer.status == HTTPStatus.OK)
    except (urllib.error.URLError, OSError):
        return False
