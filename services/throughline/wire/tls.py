"""Certificates from files to gRPC credentials, checked before they are used."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from throughline.domain.errors import InvalidInput

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """One side's files, all PEM. `settings` is what the variables begin with that name them, for errors to say."""

    settings: str
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    require_client_certificate: bool = False


def server_credentials(tls: TlsFiles) -> grpc.ServerCredentials | None:
    """Credentials for serving, or None for plain text; raise InvalidInput for files that can't be used.

    Files that change are taken from the next handshake on. Those that can't be used then are logged, and the ones before stay.
    """
    strict = tls.require_client_certificate
    if tls.certificate is None and tls.key is None:
        if strict:
            raise InvalidInput(f"client certificates need TLS; set {tls.settings}_CERTIFICATE and {tls.settings}_KEY")
        return None
    if strict and tls.ca is None:
        raise InvalidInput(f"client certificates can only be checked against an authority; set {tls.settings}_CA")
    files = _ServerFiles(tls)
    fetch: Any = files.changed  # None, for no change, is missing in the types of gRPC
    return grpc.dynamic_ssl_server_credentials(files.configuration(), fetch, strict)


def open_channel(target: str, tls: TlsFiles, options: Sequence[tuple[str, Any]] = ()) -> grpc.Channel:
    """A channel to host:port, in plain text where no authority is given; raise InvalidInput for files that can't be used."""
    if tls.ca is None:
        return grpc.insecure_channel(target, options)
    has_own = tls.certificate is not None or tls.key is not None
    key, certificate = _own_pair(tls) if has_own else (None, None)
    credentials = grpc.ssl_channel_credentials(_authority(tls.ca), key, certificate)
    return grpc.secure_channel(target, credentials, options)


class _ServerFiles:
    """The files of a server, looked at before each handshake."""

    def __init__(self, tls: TlsFiles) -> None:
        self._tls = tls
        self._paths = [path for path in (tls.certificate, tls.key, tls.ca) if path]
        self._looking = threading.Lock()
        self._seen = self._stamps()

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """What the files hold now; raise InvalidInput where that can't be used."""
        authority = self._tls.ca
        return grpc.ssl_server_certificate_configuration(
            [_own_pair(self._tls)], _authority(authority) if authority else None
        )

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What they hold now, where that is another than the last time and can be used."""
        with self._looking:
            stamps = self._stamps()
            if stamps == self._seen:
                return None
            self._seen = stamps
        try:
            configuration = self.configuration()
        except InvalidInput as error:
            _log.error("%s; the certificate before it stays in use", error)
            return None
        _log.info("certificate %s and its key are in use now", self._tls.certificate)
        return configuration

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _own_pair(tls: TlsFiles) -> tuple[bytes, bytes]:
    """Key and certificate of this process."""
    if tls.key is None or tls.certificate is None:
        raise InvalidInput(f"TLS needs both {tls.settings}_CERTIFICATE and {tls.settings}_KEY")
    key, chain = _read(tls.key), _read(tls.certificate)
    own = _valid(tls.certificate, chain)[0]
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            f"the TLS file {tls.key} is no key that can be used; give one in PEM form without a password"
        ) from error
    if private.public_key() != own.public_key():
        raise InvalidInput(
            f"the TLS key {tls.key} does not belong to {tls.certificate}; give the one that it was made for"
        )
    return key, chain


def _authority(path: Path) -> bytes:
    """Certificates of authorities, of which some may have expired, as in a bundle."""
    content = _read(path)
    _certificates(path, content)
    return content


def _valid(path: Path, content: bytes) -> list[x509.Certificate]:
    chain, now = _certificates(path, content), datetime.now(UTC)
    for each in chain:
        if not each.not_valid_before_utc <= now <= each.not_valid_after_utc:
            raise InvalidInput(
                f"the TLS certificate {path} ({each.subject.rfc4514_string()}) is valid from {each.not_valid_before_utc:%Y-%m-%d %H:%M} "
                f"to {each.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; renew it, or check the clock of this machine"
            )
    return chain


def _certificates(path: Path, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise InvalidInput(f"the TLS file {path} holds no certificate; give one in PEM form") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"the TLS file {path} can't be read: {error.strerror}") from error
