"""Triton short of memory, slow, without a model, with the wrong one, or with another one than a moment ago."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from google.protobuf.message import Message
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from tests.models.weights import picture, tiny_reid
from throughline.domain.errors import DependencyUnavailable, FailedPrecondition, NotFound
from throughline.models.build import build_reid
from throughline.models.graph import RGB_255
from throughline.perception.triton.card import ModelCard
from throughline.perception.triton.client import DETECTOR, REID, InferenceClient
from throughline.perception.triton.contract import check_contract
from throughline.perception.triton.server import TritonServer, TritonSettings

CROP = np.zeros((1, 64, 32, 3), np.uint8)


class Failing(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # tritonclient has no types
    """Ends the first calls with an error, as a server does that has no memory; then answers with one descriptor."""

    def __init__(self, code: grpc.StatusCode, details: str, times: int) -> None:
        self._code, self._details, self.left = code, details, times

    def ModelInfer(self, request: Message, context: grpc.ServicerContext) -> Message:  # noqa: N802
        if self.left:
            self.left -= 1
            context.abort(self._code, self._details)
        output = service_pb2.ModelInferResponse.InferOutputTensor(name="embeddings", datatype="FP32", shape=(1, 2))
        return service_pb2.ModelInferResponse(outputs=[output], raw_output_contents=[np.ones(2, np.float32).tobytes()])


@contextmanager
def served(servicer: Failing) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@contextmanager
def slow_way(address: str, delay_seconds: float) -> Iterator[str]:
    """The address of a way to a server on which every answer takes so much longer."""
    host, _, port = address.rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    ends: list[socket.socket] = [listener]

    def carry(source: socket.socket, target: socket.socket, delay: float) -> None:
        try:
            while data := source.recv(2**16):
                time.sleep(delay)
                target.sendall(data)
        except OSError:
            pass

    def accept() -> None:
        try:
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((host, int(port)))
                ends.extend((client, server))
                threading.Thread(target=carry, args=(client, server, 0.0), daemon=True).start()
                threading.Thread(target=carry, args=(server, client, delay_seconds), daemon=True).start()
        except OSError:
            pass

    threading.Thread(target=accept, daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    for end in ends:
        end.close()


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests"),
        (grpc.StatusCode.INTERNAL, "failed to allocate CUDA memory with byte size 1228800"),
        (grpc.StatusCode.INTERNAL, "onnx runtime error 6: Failed to allocate memory for requested buffer"),
    ],
)
def test_a_server_without_memory_is_asked_again_in_a_moment(code: grpc.StatusCode, details: str) -> None:
    with served(Failing(code, details, times=2)) as address, InferenceClient(address) as client:
        assert client.embed(CROP).result(30).shape == (1, 2)


def test_a_server_that_never_has_memory_is_given_up_with_what_helps() -> None:
    failing = Failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "no room", times=1000)
    with (
        served(failing) as address,
        InferenceClient(address, patience_seconds=0.5) as client,
        pytest.raises(
            DependencyUnavailable, match=r"no memory for the request \(no room\).*THROUGHLINE_TRITON_IN_FLIGHT"
        ),
    ):
        client.embed(CROP).result(30)


def test_a_slow_server_is_waited_for(tiny_triton: TritonServer) -> None:
    with slow_way(tiny_triton.grpc_address, 0.3) as address, InferenceClient(address) as client:
        assert len(client.detect(picture((250, 0, 0), 3, 3)).result(60).boxes) == 1


def test_a_server_that_is_too_slow_is_named_with_the_time_it_had(tiny_triton: TritonServer) -> None:
    with (
        slow_way(tiny_triton.grpc_address, 30) as address,
        InferenceClient(address, request_timeout_seconds=0.5, patience_seconds=1) as client,
        pytest.raises(
            DependencyUnavailable, match=f"{re.escape(address)} (gave no answer within 0.5 s|cannot be used)"
        ),
    ):
        client.embed(CROP).result(60)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND])
@pytest.mark.parametrize("of", ["has no available versions", "version 1 is not at ready state"])
def test_a_model_that_is_being_loaded_is_waited_for(code: grpc.StatusCode, of: str) -> None:
    """As Triton answers for a moment after it was started again."""
    starting = Failing(code, f"Request for unknown model: 'reid' {of}", times=3)
    with served(starting) as address, InferenceClient(address, patience_seconds=10) as client:
        assert client.embed(CROP).result(20).shape == (1, 2)
    assert starting.left == 0
    loading_for_ever = Failing(code, f"Request for unknown model: 'reid' {of}", times=1_000)
    with (
        served(loading_for_ever) as address,
        InferenceClient(address, patience_seconds=0.2) as client,
        pytest.raises(DependencyUnavailable, match=re.escape(of)),
    ):
        client.embed(CROP).result(20)


def test_a_model_that_is_missing_is_named(tiny_repository: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models"
    shutil.copytree(tiny_repository / DETECTOR, repository / DETECTOR)
    settings = TritonSettings(model_repository=repository, log=tmp_path / "log")
    with (
        TritonServer(settings) as server,
        InferenceClient(server.grpc_address) as client,
        pytest.raises(NotFound, match=r"unknown model.*reid.*see which models its repository holds"),
    ):
        client.model(REID)


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        ('name: "crops"', 'name: "pictures"', r"has inputs pictures UINT8 .*expected crops UINT8"),
        ("dims: 64\n", "dims: 96\n", r"has inputs crops UINT8 \[96, 32, 3\]; expected crops UINT8 \[64, 32, 3\]"),
        ('name: "embeddings"', 'name: "features"', r"has outputs features FP32 \[6\]; expected embeddings FP32 \[6\]"),
        ("TYPE_FP32", "TYPE_FP16", r"has outputs embeddings FP16 \[6\]; expected embeddings FP32 \[6\]"),
    ],
)
def test_a_model_of_another_contract_is_refused_with_what_it_has(
    tiny_repository: Path, was: str, becomes: str, words: str
) -> None:
    folder = tiny_repository / REID
    text = (folder / "configs" / "cpu.pbtxt").read_text()
    card = ModelCard.read(folder)
    check_contract(card, text_format.Parse(text, model_config_pb2.ModelConfig()), "here")
    assert was in text
    config = text_format.Parse(text.replace(was, becomes, 1), model_config_pb2.ModelConfig())
    with pytest.raises(FailedPrecondition, match=words):
        check_contract(card, config, "here")


def test_a_model_that_is_replaced_is_noticed(tiny_repository: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models"
    shutil.copytree(tiny_repository, repository)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = TritonSettings(model_repository=repository, log=tmp_path / "log", grpc_port=port)
    with InferenceClient(f"127.0.0.1:{port}") as client:
        with TritonServer(settings):
            cards = client.model(DETECTOR), client.model(REID)
            client.check_served(*cards)
        build_reid(tiny_reid(tmp_path / "other.onnx", dim=5), repository, normalisation=RGB_255)
        with TritonServer(settings):
            client.check_served(cards[0])
            with pytest.raises(
                DependencyUnavailable, match=r"model reid .* was replaced \(.*begins again with the new one"
            ):
                client.check_served(*cards)
