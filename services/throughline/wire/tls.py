"""Certificates from files to gRPC credentials."""

from __future__ import annotations

from pathlib import Path

import grpc

from throughline.domain.errors import InvalidInput
from throughline.wire.settings import ServiceSettings


def server_credentials(settings: ServiceSettings) -> grpc.ServerCredentials | None:
    """Credentials for serving, or None for plain text; raise InvalidInput for files that can't be used."""
    pair = _own_pair(settings)
    if pair is None and settings.tls_require_client_certificate:
        raise InvalidInput("client certificates need TLS; set THROUGHLINE_TLS_CERTIFICATE and THROUGHLINE_TLS_KEY")
    if settings.tls_require_client_certificate and settings.tls_ca is None:
        raise InvalidInput("client certificates can only be checked against an authority; set THROUGHLINE_TLS_CA")
    if pair is None:
        return None
    authority = _read(settings.tls_ca) if settings.tls_ca else None
    return grpc.ssl_server_credentials([pair], authority, settings.tls_require_client_certificate)


def channel_credentials(settings: ServiceSettings) -> grpc.ChannelCredentials | None:
    """Credentials for calling, or None for plain text; raise InvalidInput for files that can't be used."""
    if settings.tls_ca is None:
        return None
    key, certificate = _own_pair(settings) or (None, None)
    return grpc.ssl_channel_credentials(_read(settings.tls_ca), key, certificate)


def _own_pair(settings: ServiceSettings) -> tuple[bytes, bytes] | None:
    """Key and certificate of this process."""
    if settings.tls_key is None and settings.tls_certificate is None:
        return None
    if settings.tls_key is None or settings.tls_certificate is None:
        raise InvalidInput("TLS needs both THROUGHLINE_TLS_CERTIFICATE and THROUGHLINE_TLS_KEY")
    return _read(settings.tls_key), _read(settings.tls_certificate)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"the TLS file {path} can't be read: {error.strerror}") from error
