from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.wire.generic import call, connected, generic_service, methods, serving
from throughline.domain import errors
from throughline.domain.errors import InvalidQuery, QueryNotLocated, ThroughlineError
from throughline.wire.client import translated_errors
from throughline.wire.errors import MAX_DETAIL_BYTES, STATUS_OF

UNARY = next(method for method in methods() if not method.server_streaming)
STREAMING = next(method for method in methods() if method.server_streaming)
TREE = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ThroughlineError)]


@dataclass
class Failing:
    """A server that raises what it is told to."""

    channel: grpc.Channel
    error: Exception

    def call(self, method: MethodDescriptor = UNARY) -> ThroughlineError:
        """What a client sees when the server raises `error`."""
        with pytest.raises(ThroughlineError) as caught, translated_errors("the peer"):
            call(self.channel, method)
        return caught.value


@pytest.fixture(scope="module")
def failing() -> Iterator[Failing]:
    def behave(method: MethodDescriptor, request: Any, context: grpc.ServicerContext) -> None:
        raise state.error

    with serving(generic_service(behave)) as server, connected(server) as channel:
        state = Failing(channel, RuntimeError())
        yield state


def _made(kind: type[ThroughlineError], message: str) -> ThroughlineError:
    return InvalidQuery("observations[3].box", message) if kind is InvalidQuery else kind(message)


def test_every_error_of_the_tree_has_a_row() -> None:
    assert set(STATUS_OF) == set(TREE)


@pytest.mark.parametrize("method", [UNARY, STREAMING], ids=["unary", "streaming"])
@pytest.mark.parametrize("kind", TREE)
def test_a_client_raises_what_the_server_raised(
    kind: type[ThroughlineError], method: MethodDescriptor, failing: Failing
) -> None:
    failing.error = _made(kind, "chunk cam2/10-04-00.mp4 has no keyframe – überspringen")
    seen = failing.call(method)
    assert type(seen) is kind
    assert (str(seen), vars(seen)) == (str(failing.error), vars(failing.error))
    assert seen.retryable == kind.retryable


def test_a_whole_query_without_a_path_comes_back(failing: Failing) -> None:
    failing.error = InvalidQuery("", "expected JSON")
    seen = failing.call()
    assert isinstance(seen, InvalidQuery)
    assert (seen.path, str(seen)) == ("", "query: expected JSON")


def test_an_error_says_for_itself_whether_a_retry_helps(failing: Failing) -> None:
    failing.error = errors.LimitExceeded("too many jobs now")
    failing.error.retryable = True
    assert failing.call().retryable


@settings(max_examples=40)
@given(message=st.text(st.characters(exclude_categories=["Cs"]), max_size=200), repeated=st.sampled_from([1, 100]))
@example(message="ᚄ" * 11, repeated=100)
def test_any_message_arrives_or_is_shortened(message: str, repeated: int, failing: Failing) -> None:
    failing.error = QueryNotLocated(message * repeated)
    seen = failing.call()
    assert type(seen) is QueryNotLocated
    assert str(seen) == message * repeated or (
        str(seen).endswith(" …")
        and (message * repeated).startswith(str(seen)[:-2])
        and len(str(seen)) >= MAX_DETAIL_BYTES // 12
    )


@pytest.mark.parametrize("method", [UNARY, STREAMING], ids=["unary", "streaming"])
def test_a_bug_is_answered_with_a_reference_that_the_log_explains(
    method: MethodDescriptor, failing: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    failing.error = KeyError("password=hunter2")
    with caplog.at_level(logging.ERROR):
        seen = failing.call(method)
    reference = str(seen).rpartition(" ")[2]
    assert type(seen) is ThroughlineError
    assert "hunter2" not in str(seen)
    assert "KeyError" not in str(seen)
    assert reference in caplog.text
    assert "hunter2" in caplog.text
    assert "Traceback" in caplog.text


def test_a_peer_that_is_not_there_is_an_unavailable_dependency_with_its_name() -> None:
    with serving(generic_service()) as server:
        pass
    with (
        connected(server) as channel,
        pytest.raises(errors.DependencyUnavailable, match=r"the peer: .*start it, or check its address"),
        translated_errors("the peer"),
    ):
        call(channel, UNARY)


def test_a_method_that_a_server_does_not_have_is_not_served(failing: Failing) -> None:
    rpc: Any = failing.channel.unary_unary("/throughline.v1.Ingest/Unheard", request_serializer=bytes)
    with pytest.raises(errors.NotServed, match="the peer"), translated_errors("the peer"):
        rpc(b"")


def test_a_deadline_that_passed_at_the_client_is_an_exceeded_deadline() -> None:
    def behave(method: MethodDescriptor, request: Any, context: grpc.ServicerContext) -> None:
        while context.is_active():
            pass

    with (
        serving(generic_service(behave)) as server,
        connected(server) as channel,
        pytest.raises(errors.DeadlineExceeded),
        translated_errors("the peer"),
    ):
        call(channel, UNARY, timeout=0.2)


@pytest.mark.parametrize(
    ("details", "kind"),
    [
        ("quota of 100 calls a minute is used up", errors.DependencyUnavailable),
        ("Received message larger than max (70000000 vs. 67108864)", errors.LimitExceeded),
    ],
)
def test_what_a_foreign_peer_has_too_little_of_may_be_there_later(details: str, kind: type[ThroughlineError]) -> None:
    def refuse(method: MethodDescriptor, request: Any, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, details)

    with serving(generic_service(refuse)) as server, connected(server) as channel:
        error = Failing(channel, RuntimeError()).call()
    assert type(error) is kind
    assert error.retryable is (kind is errors.DependencyUnavailable)
    assert details in str(error)


def test_errors_that_are_not_of_a_call_pass_unchanged() -> None:
    with pytest.raises(KeyError), translated_errors("the peer"):
        raise KeyError("x")


def test_a_servicer_may_end_its_call_itself() -> None:
    def behave(method: MethodDescriptor, request: Any, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.OUT_OF_RANGE, "by hand")

    with serving(generic_service(behave)) as server, connected(server) as channel:
        for method in (UNARY, STREAMING):
            with pytest.raises(grpc.RpcError) as caught:
                call(channel, method)
            assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.OUT_OF_RANGE, "by hand")
