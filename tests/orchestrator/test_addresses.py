"""Where the host of a webhook may lead, over real sockets and TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.certificates import issue
from tests.orchestrator.bench import settings_for
from tests.orchestrator.conftest import WEBHOOK_SECRET
from tests.orchestrator.test_alerting import hooked
from throughline.domain.errors import DependencyUnavailable, PermissionDenied
from throughline.orchestrator.addresses import check_addresses, is_forbidden, is_proxied
from throughline.orchestrator.alerting import Herald
from throughline.orchestrator.inflight import Errand
from throughline.v1.alert_pb2 import TimelineReadyRequest


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def tell(tmp_path: Path, url: str, *addresses: str) -> None:
    """Call a webhook, whose host has these addresses where some are given."""

    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    settings = settings_for(tmp_path, "127.0.0.1:9", webhook_secret=WEBHOOK_SECRET, webhook_timeout_seconds=30.0)
    herald = Herald(settings, resolve=resolve) if addresses else Herald(settings)
    herald.tell(Errand("job", bound=True), url, TimelineReadyRequest(request_id="once"))


FORBIDDEN = [
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "::ffff:127.0.0.1",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "::",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "::127.0.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "224.0.0.1",
    "ff02::1",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_no_allowed_name_leads_to_this_machine_or_to_metadata(address: str, tmp_path: Path) -> None:
    with pytest.raises(PermissionDenied, match=r"hooks\.example\.com leads to"):
        tell(tmp_path, "https://hooks.example.com/films", "203.0.113.7", address)


@pytest.mark.parametrize(
    "address", ["203.0.113.7", "10.0.0.4", "192.168.1.4", "fd12::4", "2001:db8::1", "64:ff9b::cb00:7107"]
)
def test_other_addresses_are_for_the_allow_list_to_decide(address: str) -> None:
    assert not is_forbidden(address)
    check_addresses("hooks.example.com", [address])


def test_this_machine_is_reached_by_its_own_names_only(tmp_path: Path) -> None:
    with hooked() as hook:
        tell(tmp_path, hook.url.replace("127.0.0.1", "localhost"))
        tell(tmp_path, hook.url)
        assert len(hook.posts) == 2
        assert [headers["Host"] for headers, _ in hook.posts] == [
            f"{name}:{hook.server_port}" for name in ("localhost", "127.0.0.1")
        ]


def test_the_address_that_was_checked_is_called_and_the_name_is_asked_of_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = issue("ca", None, tmp_path)
    issue("hook", authority, tmp_path, names=("localhost",))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "hook.pem", tmp_path / "hook.key")
    with hooked(tls) as hook:
        tell(tmp_path, f"https://localhost:{hook.server_port}/films", "::1", "127.0.0.1")
        assert len(hook.posts) == 1
        with pytest.raises(DependencyUnavailable, match=r"certificate verify failed.*127\.0\.0\.1"):
            tell(tmp_path, f"https://127.0.0.1:{hook.server_port}/films")


def test_a_name_without_an_address_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailable, match="has no address"):
        tell(tmp_path, "https://nowhere.invalid/films")


def test_a_proxy_of_the_environment_looks_names_up_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hooked() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
        tell(tmp_path, "http://localhost:1/films")
        assert len(proxy.posts) == 1
        monkeypatch.setenv("no_proxy", "localhost")
        assert not is_proxied("http://localhost:1/films")
