"""A whole job on a deployment in which every service and Triton ask each other for certificates."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from typer.testing import CliRunner

from tests.certificates import issue
from tests.whole.deployment import Effects, Outcome, Theatre, staged
from throughline.cli.main import app
from throughline.cli.stack import SERVICES

_SIDES = ("THROUGHLINE_TLS", "THROUGHLINE_TRITON_TLS")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    folder = tmp_path_factory.mktemp("mutual_tls")
    issue("host", issue("ca", None, folder), folder)
    files = {"CERTIFICATE": "host.pem", "KEY": "host.key", "CA": "ca.pem"}
    with pytest.MonkeyPatch.context() as environment:
        for side in _SIDES:
            environment.setenv(f"{side}_REQUIRE_CLIENT_CERTIFICATE", "true")
            for name, file in files.items():
                environment.setenv(f"{side}_{name}", str(folder / file))
        with staged(folder) as theatre:
            yield theatre


def test_a_job_over_mutual_tls_comes_to_the_same_as_in_plain_text(
    secured: Theatre, undisturbed: tuple[Outcome, Effects]
) -> None:
    job = secured.finished(secured.submit("secured"))
    assert (secured.outcome(job), secured.effects(job)) == undisturbed


@pytest.mark.parametrize("name", [*SERVICES, "triton"])
def test_nobody_is_served_without_a_certificate(secured: Theatre, name: str) -> None:
    authority = (secured.deployment.home.parent / "ca.pem").read_bytes()
    address = secured.deployment.addresses[name]
    for channel in (
        grpc.insecure_channel(address),
        grpc.secure_channel(address, grpc.ssl_channel_credentials(authority)),
    ):
        with channel, pytest.raises(grpc.RpcError) as refusal:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


def test_the_doctor_finds_all_of_them(secured: Theatre) -> None:
    command = ["doctor", "--only", "running", "--home", str(secured.deployment.home)]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert result.output.splitlines()[-1] == "0 missing, 0 warnings"
    assert "serves both models, with TLS" in result.output
