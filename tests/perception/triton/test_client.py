from __future__ import annotations

import os
import signal
import socket
import time
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.cli.conditions import eventually
from tests.models.weights import CLASSES, picture
from throughline.domain.errors import Cancelled, DependencyUnavailable, InvalidInput, NotFound
from throughline.models.repository import check_digest
from throughline.perception.in_flight import in_flight
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings

RED, BLUE = (250, 0, 0), (0, 0, 250)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _server(repository: Path, log: Path, port: int) -> TritonServer:
    return TritonServer(TritonSettings(model_repository=repository, log=log, grpc_port=port))


def test_detections_come_back_for_the_picture_that_was_sent(tiny_triton: TritonServer) -> None:
    places = [(column, row) for column in range(1, 7) for row in range(1, 7)]
    with InferenceClient(tiny_triton.grpc_address, max_in_flight=8) as client:
        futures = [client.detect(picture(RED if (x + y) % 2 else BLUE, x, y)) for x, y in places]
        for (x, y), future in zip(places, futures, strict=True):
            found = future.result()
            assert found.boxes.shape == (1, 4)
            np.testing.assert_allclose((found.boxes[0, :2] + found.boxes[0, 2:]) / 2, [x * 8 + 4, y * 8 + 4], atol=1e-3)
            assert CLASSES[found.classes[0]] == ("person" if (x + y) % 2 else "trolley")
            assert 0.5 < found.scores[0] <= 1


def test_a_picture_of_nothing_gives_no_boxes(tiny_triton: TritonServer) -> None:
    with InferenceClient(tiny_triton.grpc_address) as client:
        found = client.detect(np.zeros((64, 64, 3), np.uint8)).result()
    assert (found.boxes.shape, found.scores.shape, found.classes.shape) == ((0, 4), (0,), (0,))


def test_descriptors_are_unit_vectors(tiny_triton: TritonServer) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 32, 3), dtype=np.uint8)
    with InferenceClient(tiny_triton.grpc_address) as client:
        client.model("reid")
        assert client.largest_batch("reid") >= 3
        descriptors = client.embed(crops).result()
        alone = [client.embed(crop[None]).result()[0] for crop in crops]
    assert descriptors.shape == (3, 6)
    assert descriptors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(descriptors, alone, atol=1e-6)


def test_single_pictures_are_executed_in_batches(triton: TritonServer) -> None:
    with InferenceClient(triton.grpc_address, max_in_flight=8) as client:
        client.wait_ready(10)
        for name, send in (("detector", client.detect), ("reid", lambda crop: client.embed(crop[None]))):
            card, before = client.model(name), client.statistics(name)
            blank = np.zeros((card.input_height, card.input_width, 3), np.uint8)
            for future in [send(blank) for _ in range(40)]:
                future.result()
            executions = _executions_of(client, name, before.inference_count + 40) - before.execution_count
            assert executions < 40  # how many fewer is measured by `make bench SUITE=pipeline`


def _executions_of(client: InferenceClient, name: str, inference_count: int) -> int:
    """Executions once the server has counted so many inferences: it counts them a moment after it has answered."""
    deadline = time.monotonic() + 10
    while (found := client.statistics(name)).inference_count < inference_count:
        assert time.monotonic() < deadline
    assert found.inference_count == inference_count
    return found.execution_count


def test_the_card_comes_from_the_server(tiny_triton: TritonServer, tiny_repository: Path) -> None:
    with InferenceClient(tiny_triton.grpc_address) as client:
        assert client.model("detector") == check_digest(tiny_repository / "detector")
        with pytest.raises(NotFound, match="unknown model: 'other'"):
            client.model("other")


def test_a_picture_of_another_size_is_refused(tiny_triton: TritonServer) -> None:
    with InferenceClient(tiny_triton.grpc_address) as client, pytest.raises(InvalidInput, match="unexpected shape"):
        client.detect(np.zeros((32, 32, 3), np.uint8)).result()


def test_a_server_that_starts_late_is_waited_for(tiny_repository: Path, tmp_path: Path) -> None:
    port = _free_port()
    with InferenceClient(f"127.0.0.1:{port}") as client:
        early = client.detect(picture(RED, 3, 3))
        assert not early.done()
        with _server(tiny_repository, tmp_path / "log", port):
            client.wait_ready(20)
            assert len(early.result(20).scores) == 1


def test_a_server_that_crashes_in_the_middle_is_survived(tiny_repository: Path, tmp_path: Path) -> None:
    port = _free_port()
    with InferenceClient(f"127.0.0.1:{port}", max_in_flight=4) as client:
        first = _server(tiny_repository, tmp_path / "first.log", port)
        first.start()
        results = [client.detect(picture(RED, number % 6 + 1, 3)) for number in range(400)]
        results[100].result(30)
        os.kill(first.pid, signal.SIGKILL)
        first.stop()
        assert not results[-1].done()
        with _server(tiny_repository, tmp_path / "second.log", port):
            assert all(len(future.result(30).scores) == 1 for future in results)


def test_a_backend_process_that_crashes_is_survived_once_the_server_is_started_again(
    tiny_repository: Path, tmp_path: Path
) -> None:
    port = _free_port()
    with InferenceClient(f"127.0.0.1:{port}") as client:
        with _server(tiny_repository, tmp_path / "first.log", port) as server:
            for stub in psutil.Process(server.pid).children():
                stub.kill()
            meanwhile = client.detect(picture(RED, 3, 3))
            assert server.wait() != 0
        with _server(tiny_repository, tmp_path / "second.log", port):
            assert len(meanwhile.result(30).scores) == 1


def test_a_server_that_never_comes_is_given_up_with_its_address() -> None:
    address = f"127.0.0.1:{_free_port()}"
    with InferenceClient(address, patience_seconds=0.3) as client:
        with pytest.raises(DependencyUnavailable, match=f"Triton at {address} cannot be used"):
            client.detect(picture(RED, 3, 3)).result()
        with pytest.raises(DependencyUnavailable, match=address):
            client.wait_ready(0.3)


def test_whoever_stops_does_not_wait_for_a_server_that_is_away() -> None:
    def check() -> None:
        raise Cancelled("stopped on request")

    with InferenceClient(f"127.0.0.1:{_free_port()}", max_in_flight=1, patience_seconds=120.0) as client:
        requests = ((number, partial(client.detect, picture(RED, 3, 3))) for number in range(8))
        began = time.monotonic()
        with pytest.raises(Cancelled, match="on request"):
            list(in_flight(requests, 4, check))
        assert time.monotonic() - began < 60


def test_only_so_many_requests_are_in_flight_and_closing_ends_them() -> None:
    client = InferenceClient(f"127.0.0.1:{_free_port()}", max_in_flight=2)
    pending = [client.detect(picture(RED, 3, 3)) for _ in range(4)]
    eventually(lambda: all(future.running() for future in pending[:2]))
    assert not pending[2].running()
    assert pending[2].cancel()
    client.close()
    for future in pending:
        with pytest.raises((Cancelled, CancelledError)):
            future.result(5)
    with pytest.raises(Cancelled, match="was closed"):
        client.detect(picture(RED, 3, 3))
