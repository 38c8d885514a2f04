from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.reflection import Reflection
from tests.wire.generic import call, connected, descriptors, generic_service, methods, serving
from throughline.domain.errors import Conflict, DependencyUnavailable, LimitExceeded
from throughline.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from throughline.wire.client import connect, translated_errors
from throughline.wire.service import Service, serve
from throughline.wire.settings import ServiceSettings

SUBMIT = next(method for method in methods() if method.name == "SubmitJob")


def test_a_server_lists_and_describes_its_services_by_reflection() -> None:
    with serving(generic_service()) as server, connected(server) as channel:
        reflection = Reflection(channel)
        ours = [service.full_name for service in descriptors()]
        assert set(reflection.services()) == {
            *ours,
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        for service in descriptors():
            assert set(reflection.methods(service.full_name)) == set(service.methods_by_name)


def test_every_method_can_be_called_with_what_reflection_says_alone() -> None:
    with serving(generic_service()) as server, connected(server) as channel:
        reflection = Reflection(channel)
        for method in methods():
            assert reflection.call(method.containing_service.full_name, method.name, {}) == [{}]
        assert reflection.call("grpc.health.v1.Health", "Check", {"service": "throughline.v1.Tracker"}) == [
            {"status": "SERVING"}
        ]


def test_a_server_that_ends_says_so_to_probes_and_closes_its_services() -> None:
    closed = []
    generic = generic_service()
    server = serve(
        [Service("x", generic.proto_names, generic.add_to_server, lambda: closed.append(True))], ServiceSettings()
    )
    with connected(server) as channel:
        watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        server.stop(1.0)
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
    server.wait()
    assert closed == [True]


def test_an_address_that_is_taken_is_a_conflict() -> None:
    with (
        serving(generic_service()) as server,
        pytest.raises(Conflict, match="THROUGHLINE_LISTEN"),
    ):
        serve([generic_service()], ServiceSettings(listen=server.address))


@pytest.mark.parametrize("direction", ["request", "response"])
def test_a_message_over_the_limit_is_refused(direction: str) -> None:
    small, large = ServiceSettings(max_message_bytes=2**20), ServiceSettings()
    request = orchestrator_pb2.SubmitJobRequest(query_json="x" * 2**21)
    at_server, at_client = (small, large) if direction == "request" else (large, small)
    with (
        serving(generic_service(), at_server) as server,
        connected(server, at_client) as channel,
        pytest.raises(LimitExceeded, match="larger than max"),
        translated_errors("orchestrator"),
    ):
        call(channel, SUBMIT, request)


def test_a_query_of_the_largest_size_passes() -> None:
    sizes: list[int] = []

    def behave(method: MethodDescriptor, request: Any, context: grpc.ServicerContext) -> None:
        sizes.append(len(request.query_json))

    with serving(generic_service(behave)) as server, connected(server) as channel:
        call(channel, SUBMIT, orchestrator_pb2.SubmitJobRequest(query_json="x" * 2**24))
    assert sizes == [2**24]


def test_calls_over_the_limit_are_refused_and_may_be_made_again() -> None:
    going_on = threading.Event()

    def behave(method: MethodDescriptor, request: Any, context: grpc.ServicerContext) -> None:
        if method.name == "WatchJob":
            going_on.wait(60)

    with (
        serving(generic_service(behave), ServiceSettings(max_workers=1, max_waiting=0)) as server,
        connected(server) as channel,
    ):
        watched = orchestrator_pb2_grpc.OrchestratorStub(channel).WatchJob(orchestrator_pb2.WatchJobRequest())
        next(watched)
        with pytest.raises(DependencyUnavailable, match="too much to do: try again later"), translated_errors("it"):
            call(channel, SUBMIT)
        going_on.set()
        assert list(watched) == []
        deadline = time.monotonic() + 60
        while not _is_taken(channel):
            assert time.monotonic() < deadline


def _is_taken(channel: grpc.Channel) -> bool:
    try:
        call(channel, SUBMIT)
    except grpc.RpcError:
        return False
    return True


@pytest.mark.parametrize(("listen", "warned"), [("0.0.0.0:0", True), ("127.0.0.1:0", False)])
def test_a_server_that_others_reach_in_plain_text_says_so(
    listen: str, warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tokens.json").write_text("{}")
    with serving(generic_service(), ServiceSettings(listen=listen, tokens_file=tmp_path / "tokens.json")):
        assert ("in plain text; set THROUGHLINE_TLS_" in caplog.text) == warned


PROGRAM = """
import time
from tests.wire.generic import generic_service
from throughline.wire.service import run

def deaf(method, request, context):
    if method.name == "WatchJob":
        time.sleep(1000)

run(lambda: generic_service(deaf))
"""


def _start(tmp_path: Path, **environment: str) -> subprocess.Popen[str]:
    settings = {"THROUGHLINE_ADDRESS_FILE": str(tmp_path / "address"), **environment}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.Popen(command, env={**os.environ, **settings}, stderr=subprocess.PIPE, text=True)


def _connected(process: subprocess.Popen[str], tmp_path: Path) -> grpc.Channel:
    deadline = time.monotonic() + 30
    while not (tmp_path / "address").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return connect((tmp_path / "address").read_text(), ServiceSettings())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_process_tells_its_address_serves_and_ends_on_a_signal(number: int, tmp_path: Path) -> None:
    process = _start(tmp_path)
    channel = _connected(process, tmp_path)
    assert len(call(channel, SUBMIT)) == 1
    channel.close()
    process.send_signal(number)
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0, log
    assert "everything on 127.0.0.1:" in log


def test_a_service_process_ends_though_its_work_does_not_listen(tmp_path: Path) -> None:
    process = _start(tmp_path, THROUGHLINE_GRACE_SECONDS="0.5")
    channel = _connected(process, tmp_path)
    watched = orchestrator_pb2_grpc.OrchestratorStub(channel).WatchJob(orchestrator_pb2.WatchJobRequest())
    next(watched)
    process.terminate()
    _, log = process.communicate(timeout=20)
    channel.close()
    assert process.returncode == 0
    assert "did not stop when it was asked to" in log


def test_a_service_process_that_cannot_start_says_why_and_ends_with_1(tmp_path: Path) -> None:
    process = _start(tmp_path, THROUGHLINE_LISTEN="0.0.0.0:0")
    _, log = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "can't start: 0.0.0.0:0 is open to other machines" in log
    assert "Traceback" not in log
