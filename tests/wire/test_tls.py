from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.wire.generic import call, connected, generic_service, methods, serving
from throughline.domain.errors import DependencyUnavailable, InvalidInput
from throughline.wire.client import translated_errors
from throughline.wire.service import serve
from throughline.wire.settings import ServiceSettings

Pair = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def _certificate(name: str, issuer: Pair | None, folder: Path) -> Pair:
    """A certificate for 127.0.0.1, written to <name>.pem and <name>.key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(issuer[0] if issuer else key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(private)
    return key, certificate


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ServiceSettings]:
    """Settings whose TLS files are given by name: certificate="server", ca="ca"."""
    folder = tmp_path_factory.mktemp("tls")
    authority = _certificate("ca", None, folder)
    _certificate("other-ca", None, folder)
    for name in ("server", "client"):
        _certificate(name, authority, folder)

    def make(certificate: str = "", ca: str = "", **more: Any) -> ServiceSettings:
        files: dict[str, Any] = {}
        if certificate:
            files |= {"tls_certificate": folder / f"{certificate}.pem", "tls_key": folder / f"{certificate}.key"}
        if ca:
            files["tls_ca"] = folder / f"{ca}.pem"
        return ServiceSettings(**files, **more)

    return make


def _call(server_settings: ServiceSettings, client_settings: ServiceSettings) -> None:
    with (
        serving(generic_service(), server_settings) as server,
        connected(server, client_settings, token="any") as channel,
        translated_errors("the peer"),
    ):
        for method in methods():
            call(channel, method, timeout=5)


def test_a_client_with_the_right_authority_is_served(settings: Callable[..., ServiceSettings]) -> None:
    _call(settings("server"), settings(ca="ca"))


@pytest.mark.parametrize("ca", ["", "other-ca"])
def test_a_client_without_the_right_authority_gets_nowhere(ca: str, settings: Callable[..., ServiceSettings]) -> None:
    with pytest.raises(DependencyUnavailable):
        _call(settings("server"), settings(ca=ca))


def test_a_client_does_not_talk_to_a_server_without_tls(settings: Callable[..., ServiceSettings]) -> None:
    with pytest.raises(DependencyUnavailable):
        _call(settings(), settings(ca="ca"))


def test_client_certificates_can_be_required(settings: Callable[..., ServiceSettings]) -> None:
    strict = settings("server", "ca", tls_require_client_certificate=True)
    _call(strict, settings("client", "ca"))
    with pytest.raises(DependencyUnavailable):
        _call(strict, settings(ca="ca"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"tls_certificate": "server.pem"},
        {"tls_key": "server.key"},
        {"tls_certificate": "none.pem", "tls_key": "none.key"},
        {"tls_require_client_certificate": True},
    ],
)
def test_settings_that_make_no_tls_stop_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"THROUGHLINE_TLS|TLS file"):
        serve([generic_service()], ServiceSettings(**wrong))
