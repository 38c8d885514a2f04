"""Pictures reach a Triton on this machine in shared memory, of which nothing is left behind, and any other by gRPC."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.models.weights import picture
from throughline.domain.errors import DependencyUnavailable
from throughline.perception.triton import shared
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.rpc import TritonRpc
from throughline.perception.triton.server import TritonServer, TritonSettings

RED = (250, 0, 0)
FILES = Path("/dev/shm")
KILLED = """
import os, signal, sys
from tests.models.weights import picture
from throughline.perception.triton.client import InferenceClient
client = InferenceClient(sys.argv[1])
assert len(client.detect(picture((250, 0, 0), 3, 3)).result().scores) == 1
os.kill(os.getpid(), signal.SIGKILL)
"""


class Known:
    """The regions that a server knows."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def names(self) -> list[str]:
        return list(self._stub.SystemSharedMemoryStatus(service_pb2.SystemSharedMemoryStatusRequest()).regions)

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def server(tiny_repository: Path, tmp_path: Path) -> Iterator[TritonServer]:
    """One that nobody else uses."""
    with TritonServer(TritonSettings(model_repository=tiny_repository, log=tmp_path / "triton.log")) as server:
        yield server


@pytest.fixture
def known(server: TritonServer) -> Iterator[Known]:
    found = Known(server.grpc_address)
    yield found
    found.close()


def files() -> list[str]:
    return [path.name for path in FILES.glob(f"throughline_pictures_{os.getpid()}_*")]


def test_as_many_regions_are_made_as_requests_are_under_way_and_none_is_left(
    server: TritonServer, known: Known
) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (20, 64, 32, 3), dtype=np.uint8)
    with InferenceClient(server.grpc_address, max_in_flight=3) as client:
        for _ in range(2):
            found = [client.detect(picture(RED, x, y)) for x in range(1, 7) for y in range(1, 7)]
            described = [client.embed(crop[None]).result() for crop in crops]
            assert all(len(each.result().scores) == 1 for each in found)
        assert 2 <= len(known.names()) <= 6, "three at most for each size of picture"
        assert files() == []
    assert known.names() == []
    with InferenceClient(server.grpc_address, sharing="off") as client:
        for crop, vector in zip(crops, described, strict=True):
            np.testing.assert_array_equal(client.embed(crop[None]).result(), vector)
        assert known.names() == []


def test_a_client_that_is_killed_leaves_no_file_and_the_next_one_gives_back_its_regions(
    server: TritonServer, known: Known
) -> None:
    command = [sys.executable, "-c", KILLED, server.grpc_address]
    killed = subprocess.run(command, cwd=Path(__file__).parents[3], timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = known.names()
    assert len(left) == 1
    assert not (FILES / left[0]).exists()
    with InferenceClient(server.grpc_address) as first, InferenceClient(server.grpc_address) as second:
        for client in (first, second):
            client.detect(picture(RED, 3, 3)).result()
        assert len(known.names()) == 2, "of the two that live"
        assert left[0] not in known.names()


def test_regions_are_made_anew_for_a_server_that_was_started_again(tiny_repository: Path, tmp_path: Path) -> None:
    settings = TritonSettings(model_repository=tiny_repository, log=tmp_path / "first.log")
    with TritonServer(settings) as server, InferenceClient(server.grpc_address) as client:
        client.detect(picture(RED, 3, 3)).result()
        port = int(server.grpc_address.rpartition(":")[2])
        os.kill(server.pid, signal.SIGKILL)
        server.stop()
        later = [client.detect(picture(RED, x, 3)) for x in range(1, 7)]
        again = TritonSettings(model_repository=tiny_repository, log=tmp_path / "second.log", grpc_port=port)
        with TritonServer(again) as restarted:
            assert all(len(each.result(60).scores) == 1 for each in later)
            assert len(client.detect(picture(RED, 3, 3)).result().scores) == 1
            known = Known(restarted.grpc_address)
            assert known.names()
            known.close()


def test_a_server_that_does_not_see_the_memory_gets_pictures_by_grpc_and_it_is_said_once(
    server: TritonServer,
    known: Known,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(shared, "_FOLDER", tmp_path)  # as in a container with a /dev/shm of its own
    with caplog.at_level(logging.INFO), InferenceClient(server.grpc_address) as client:
        found = [client.detect(picture(RED, x, y)) for x in range(1, 7) for y in range(1, 7)]
        wait(found)
        assert all(len(each.result().scores) == 1 for each in found)
    assert len([each for each in caplog.messages if "not by shared memory" in each]) == 1
    assert "Unable to open shared memory region" in caplog.text
    assert known.names() == []
    assert list(tmp_path.glob("throughline_pictures_*")) == []


def test_memory_that_is_not_there_is_no_error(
    server: TritonServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_FOLDER", tmp_path / "missing")
    with InferenceClient(server.grpc_address) as client:
        assert len(client.detect(picture(RED, 3, 3)).result().scores) == 1


class _Late(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_region_that_the_server_took_too_slowly_is_given_back(
    server: TritonServer, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, late = TritonRpc.call, [True]

    def first_too_late(rpc: TritonRpc, method: str, *arguments: Any) -> Any:
        answer = call(rpc, method, *arguments)
        if method == "SystemSharedMemoryRegister" and late:
            late.clear()
            raise DependencyUnavailable("gave no answer within 2 s") from _Late()
        return answer

    monkeypatch.setattr(TritonRpc, "call", first_too_late)
    with InferenceClient(server.grpc_address) as client:
        assert len(client.detect(picture(RED, 3, 3)).result().scores) == 1
        assert len(known.names()) == 1
        assert len(client.detect(picture(RED, 3, 3)).result().scores) == 1
        assert len(known.names()) == 1
    assert known.names() == []
