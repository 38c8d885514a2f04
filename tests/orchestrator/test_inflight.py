"""What is at work for a job can be stopped at any moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from tests.wire.generic import connected, generic_service, serving
from throughline.domain.errors import DeadlineExceeded
from throughline.orchestrator.inflight import Errand, JobEnded
from throughline.orchestrator.stages import call
from throughline.v1.ingest_pb2 import ListFootageRequest
from throughline.v1.ingest_pb2_grpc import IngestStub


def test_a_call_that_began_just_before_the_stop_is_cancelled_too() -> None:
    errand = Errand("job", bound=True)
    cancelled: list[str] = []
    errand.stop(JobEnded("job"))
    with pytest.raises(JobEnded), errand.calling("tracker", lambda: cancelled.append("call")):
        raise AssertionError("a stopped errand waited for its call")
    assert cancelled == ["call"]


def test_a_stop_cancels_the_call_in_progress() -> None:
    errand = Errand("job", bound=True)
    cancelled: list[str] = []
    with errand.calling("tracker", lambda: cancelled.append("call")):
        errand.stop(JobEnded("job"))
    assert cancelled == ["call"]


@pytest.fixture
def waiting() -> Iterator[tuple[IngestStub, threading.Event]]:
    """Ingest that never answers, and what it says once it was asked."""
    asked, over = threading.Event(), threading.Event()

    def behaviour(method: MethodDescriptor, request: object, context: grpc.ServicerContext) -> None:
        asked.set()
        over.wait(10)

    with serving(generic_service(behaviour)) as server, connected(server) as channel:
        yield IngestStub(channel), asked
        over.set()


@pytest.mark.parametrize("ends", ["stopped", "silent"])
def test_a_call_that_is_cancelled_while_it_is_waited_for_says_why(
    waiting: tuple[IngestStub, threading.Event], ends: str
) -> None:
    (ingest, asked), errand = waiting, Errand("job", bound=True)

    def end() -> None:
        assert asked.wait(10)
        if ends == "stopped":
            errand.stop(JobEnded("job"))
        else:
            errand.give_up_if_silent(0)

    ending = threading.Thread(target=end)
    ending.start()
    with pytest.raises(JobEnded if ends == "stopped" else DeadlineExceeded, match=r"job|said nothing for too long"):
        call(errand, "ingest", ingest.ListFootage, ListFootageRequest(), 10)
    ending.join()
