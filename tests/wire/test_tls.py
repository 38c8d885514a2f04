from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from tests.certificates import Pair, issue
from tests.wire.generic import call, connected, generic_service, methods, serving
from throughline.domain.errors import DependencyUnavailable, InvalidInput
from throughline.wire.client import connect, translated_errors
from throughline.wire.service import RunningServer, serve
from throughline.wire.settings import ServiceSettings


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return issue("ca", None, tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, authority: Pair) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    (folder / "ca.pem").write_bytes(authority[1].public_bytes(serialization.Encoding.PEM))
    other = issue("other-ca", None, folder)
    for name in ("server", "client"):
        issue(name, authority, folder)
    issue("stranger", other, folder)
    issue("expired", authority, folder, days=(-2, -1))
    issue("early", authority, folder, days=(1, 2))
    (folder / "words.pem").write_text("no certificate")
    return folder


Make = Callable[..., ServiceSettings]


def _settings(folder: Path, certificate: str = "", ca: str = "", **more: Any) -> ServiceSettings:
    """Settings whose TLS files are given by name: certificate="server", ca="ca"."""
    files: dict[str, Any] = {}
    if certificate:
        files |= {"tls_certificate": folder / f"{certificate}.pem", "tls_key": folder / f"{certificate}.key"}
    if ca:
        files["tls_ca"] = folder / f"{ca}.pem"
    return ServiceSettings(**{**files, **more})


@pytest.fixture(scope="module")
def settings(folder: Path) -> Make:
    return partial(_settings, folder)


def _call(server_settings: ServiceSettings, client_settings: ServiceSettings) -> None:
    with (
        serving(generic_service(), server_settings) as server,
        connected(server, client_settings, token="any") as channel,
        translated_errors("the peer"),
    ):
        for method in methods():
            call(channel, method, timeout=20)


def test_a_client_with_the_right_authority_is_served(settings: Make) -> None:
    _call(settings("server"), settings(ca="ca"))


@pytest.mark.parametrize(
    ("server", "client", "words"),
    [
        ({"certificate": "server"}, {}, "THROUGHLINE_TLS_CA"),
        ({"certificate": "server"}, {"ca": "other-ca"}, "not of the authority in THROUGHLINE_TLS_CA"),
        ({}, {"ca": "ca"}, "it speaks plain text"),
    ],
    ids=["no authority", "another authority", "a server in plain text"],
)
def test_sides_that_cannot_agree_say_why(
    server: dict[str, str], client: dict[str, str], words: str, settings: Make
) -> None:
    with pytest.raises(DependencyUnavailable, match=words):
        _call(settings(**server), settings(**client))


def test_a_server_under_a_name_that_its_certificate_lacks_is_not_trusted(settings: Make) -> None:
    with serving(generic_service(), settings("server")) as server:
        address = server.address.replace("127.0.0.1", "localhost")
        with (
            pytest.raises(DependencyUnavailable, match="not for this host name"),
            connect(address, settings(ca="ca")) as channel,
            translated_errors("the peer"),
        ):
            call(channel, methods()[0], timeout=20)


@pytest.mark.parametrize("certificate", ["", "stranger", "expired"])
def test_without_the_right_client_certificate_no_call_passes(certificate: str, folder: Path, settings: Make) -> None:
    """As a client of another make would, which does not look at its own certificate first."""
    files = [(folder / f"{certificate}{suffix}").read_bytes() for suffix in (".key", ".pem")] if certificate else []
    credentials = grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes(), *files)
    strict = settings("server", "ca", tls_require_client_certificate=True)
    with serving(generic_service(), strict) as server, grpc.secure_channel(server.address, credentials) as channel:
        for method in methods():
            with pytest.raises(grpc.RpcError) as caught:
                call(channel, method, timeout=20)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_the_right_client_certificate_passes(settings: Make) -> None:
    _call(settings("server", "ca", tls_require_client_certificate=True), settings("client", "ca"))


def test_a_renewed_certificate_is_shown_without_a_restart(
    authority: Pair, tmp_path: Path, settings: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "throughline.wire.tls")
    own = partial(_settings, tmp_path)
    issue("server", authority, tmp_path)
    with serving(generic_service(), own("server")) as server:
        first = _shown(server)
        (tmp_path / "server.pem").write_text("half a certif")
        assert _shown(server) == first
        assert "stays in use" in caplog.text
        issue("server", authority, tmp_path)
        second = _shown(server)
        assert second != first
        assert "are in use now" in caplog.text
        with connect(server.address, settings(ca="ca")) as channel:
            assert call(channel, methods()[0], timeout=20)


def _shown(server: RunningServer) -> str:
    """The certificate that a server shows to a client that comes now."""
    host, _, port = server.address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)), timeout=30)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"tls_certificate": Path("server.pem")}, "THROUGHLINE_TLS_KEY"),
        ({"tls_key": Path("server.key")}, "THROUGHLINE_TLS_CERTIFICATE"),
        ({"certificate": "none"}, "can't be read: No such file"),
        ({"certificate": "expired"}, r"expired.pem \(CN=expired\) is valid from .* renew it"),
        ({"certificate": "early"}, "the clock of this machine"),
        ({"certificate": "server", "tls_key": "client.key"}, "does not belong to .*server.pem"),
        ({"certificate": "server", "tls_key": "server.pem"}, "no key that can be used"),
        ({"certificate": "server", "tls_certificate": "words.pem"}, "holds no certificate"),
        ({"certificate": "server", "ca": "words"}, "words.pem holds no certificate"),
        ({"tls_require_client_certificate": True}, "THROUGHLINE_TLS_CERTIFICATE and THROUGHLINE_TLS_KEY"),
        ({"certificate": "server", "tls_require_client_certificate": True}, "set THROUGHLINE_TLS_CA"),
    ],
)
def test_files_that_make_no_tls_stop_the_start(wrong: dict[str, Any], words: str, folder: Path, settings: Make) -> None:
    files = {name: folder / value for name, value in wrong.items() if isinstance(value, str) and name[:4] == "tls_"}
    with pytest.raises(InvalidInput, match=words):
        serve([generic_service()], settings(**{**wrong, **files}))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"ca": "none"}, "can't be read"),
        ({"ca": "words"}, "holds no certificate"),
        ({"ca": "ca", "certificate": "expired"}, "renew it"),
    ],
)
def test_files_that_make_no_tls_stop_a_client(wrong: dict[str, str], words: str, settings: Make) -> None:
    with pytest.raises(InvalidInput, match=words):
        connect("127.0.0.1:1", settings(**wrong))
