"""`throughline up` as a user runs it: a process that keeps real services alive."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.conditions import eventually, is_gone
from tests.tier.scripted import review_request
from throughline.cli.deployment import Deployment
from throughline.cli.keys import public_key_file
from throughline.cli.objectstore import local_s3
from throughline.cli.ports import LOOPBACK, choose_ports
from throughline.cli.probes import http_ready, serving
from throughline.cli.stack import METRICS
from throughline.domain.errors import PermissionDenied, Unauthenticated
from throughline.v1.tier_pb2_grpc import TierStub
from throughline.wire.client import connect, translated_errors
from throughline.wire.settings import ServiceSettings

CHILDREN = ("tier", "alert", "objects")


class Up:
    """A running `throughline up` with a few children."""

    def __init__(self, home: Path, children: tuple[str, ...] = CHILDREN, **variables: str) -> None:
        self.home = home
        only = [word for name in children for word in ("--only", name)]
        command = [sys.executable, "-m", "throughline", "up", "--home", str(home), "--port", "0", *only]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **variables}
        )
        eventually(lambda: (home / "up.json").exists() or self.process.poll() is not None, 60)
        if self.process.poll() is not None:
            pytest.fail(self.process.communicate()[0])
        self.deployment = Deployment.load(home)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, name: str) -> psutil.Process:
        return next(child for child in self.children() if child.cmdline()[-1:] == [name])

    def end(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=30)[0]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One for all tests that leave it running."""
    running = Up(tmp_path_factory.mktemp("up") / "home")
    yield running
    running.end()


def test_what_dies_is_started_again_and_everything_stops_at_sigterm(tmp_path: Path) -> None:
    up = Up(tmp_path / "home")
    tier = up.child("tier")
    address = up.deployment.addresses["tier"]
    tier.kill()
    eventually(lambda: is_gone(tier.pid))
    eventually(lambda: serving(address))
    assert up.child("tier").pid != tier.pid
    pids = [child.pid for child in up.children()]
    output = up.end()
    assert up.process.returncode == 0
    assert all(is_gone(pid) for pid in pids)
    assert "tier was killed by SIGKILL; starting it again" in output
    assert f"its public key: {public_key_file(up.home)}" in output
    assert not (up.home / "up.json").exists()


def test_no_child_outlives_an_up_that_is_killed(tmp_path: Path) -> None:
    up = Up(tmp_path / "home")
    children = up.children()
    assert len(children) == len(CHILDREN)
    up.process.kill()
    up.process.communicate()
    eventually(lambda: all(is_gone(child.pid) for child in children))


def test_a_repository_without_models_is_refused_at_once(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "throughline",
        "up",
        "--home",
        str(tmp_path / "home"),
        "--port",
        "0",
        "--only",
        "triton",
    ]
    ended = subprocess.run(
        [*command, "--models", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert str(tmp_path / "detector" / "card.json") in ended.stderr
    assert "throughline models build" in ended.stderr


def test_every_caller_needs_a_token_with_the_right_scope_even_on_loopback(up: Up) -> None:
    request = review_request("127.0.0.1:1", "p1")
    address = up.deployment.addresses["tier"]
    for token, refusal in (("", Unauthenticated), ("guess", Unauthenticated), (up.deployment.token, PermissionDenied)):
        with (
            connect(address, ServiceSettings(token=token)) as channel,
            pytest.raises(refusal),
            translated_errors("tier"),
        ):
            TierStub(channel).ReviewPairs(request)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_the_certificates_of_the_docs_serve_a_deployment_with_mutual_tls(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    commands = re.findall(r"```bash\n(openssl .*?)```", page, re.DOTALL)
    subprocess.run(["bash", "-ec", *commands], cwd=tmp_path, check=True, capture_output=True)
    own: dict[str, Any] = {"tls_certificate": tmp_path / "orchestrator.pem", "tls_key": tmp_path / "orchestrator.key"}
    settings = ServiceSettings(**own, tls_ca=tmp_path / "ca.pem")
    variables = {f"THROUGHLINE_{name.upper()}": str(path) for name, path in own.items()}
    variables["THROUGHLINE_TLS_CA"] = str(settings.tls_ca)
    up = Up(tmp_path / "home", ("orchestrator", "tier"), **variables, THROUGHLINE_TLS_REQUIRE_CLIENT_CERTIFICATE="true")
    try:
        jobs = [sys.executable, "-m", "throughline", "jobs", "--home", str(up.home)]
        assert subprocess.run(jobs, env={**os.environ, **variables}, check=False, capture_output=True).returncode == 0
        del variables["THROUGHLINE_TLS_KEY"], variables["THROUGHLINE_TLS_CERTIFICATE"]
        stranger = subprocess.run(
            jobs, env={**os.environ, **variables}, check=False, capture_output=True, text=True, timeout=120
        )
        assert stranger.returncode == 1
        assert "THROUGHLINE_TLS_CERTIFICATE where it asks for one" in stranger.stderr
        with (
            connect(up.deployment.addresses["tier"], settings) as channel,
            pytest.raises(Unauthenticated),
            translated_errors("tier"),
        ):
            TierStub(channel).ReviewPairs(review_request("127.0.0.1:1", "p1"))
    finally:
        up.end()


def test_secrets_are_for_their_owner_only_and_the_tokens_file_has_no_token(up: Up) -> None:
    for name in ("up.json", "tokens.json", "keys/evidence.pem"):
        assert stat.S_IMODE((up.home / name).stat().st_mode) == 0o600
    assert up.deployment.token
    assert up.deployment.token not in (up.home / "tokens.json").read_text()


def test_each_child_serves_its_metrics_where_up_says(up: Up) -> None:
    addresses = up.deployment.addresses
    for name in ("tier", "alert"):
        assert http_ready(f"http://{addresses[METRICS[name]]}/metrics")
        assert addresses[METRICS[name]] not in (addresses[name], addresses["tracker-metrics"])


def test_several_services_in_one_process_share_a_port_for_metrics(tmp_path: Path) -> None:
    settings = {
        "THROUGHLINE_ADDRESS_FILE": str(tmp_path / "address"),
        "THROUGHLINE_METRICS_LISTEN": f"{LOOPBACK}:{choose_ports(['metrics'], 0)['metrics']}",
        "THROUGHLINE_CACHE_DIR": str(tmp_path),
        "THROUGHLINE_TIER_DATABASE_URL": f"sqlite:///{tmp_path}/tier.db",
        "THROUGHLINE_ALERT_DATABASE_URL": f"sqlite:///{tmp_path}/alert.db",
    }
    command = [sys.executable, "-m", "throughline", "serve", "tier", "alert"]
    process = subprocess.Popen(command, env={**os.environ, **settings}, stderr=subprocess.PIPE, text=True)
    try:
        eventually((tmp_path / "address").exists, 60)
        assert http_ready(f"http://{settings['THROUGHLINE_METRICS_LISTEN']}/metrics")
    finally:
        process.terminate()
        told = [json.loads(line) for line in process.communicate(timeout=60)[1].splitlines()]
    assert process.returncode == 0
    assert {line["service"] for line in told} == {"tier+alert"}


def test_the_object_store_speaks_s3(up: Up) -> None:
    s3 = local_s3(up.deployment.s3_endpoint_url)
    s3.create_bucket(Bucket="store")
    s3.put_object(Bucket="store", Key="a b/ü.mp4", Body=b"x")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="store")["Contents"]] == ["a b/ü.mp4"]


def test_a_home_has_one_deployment(up: Up) -> None:
    command = [sys.executable, "-m", "throughline", "up", "--home", str(up.home), "--port", "0", "--only", "alert"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ))
    assert second.returncode == 1
    assert f"another `throughline up` uses {up.home}" in second.stderr
