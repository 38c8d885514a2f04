"""One gRPC connection to a Triton server: patient with one that is not there yet or comes back, and clear about what went wrong."""

from __future__ import annotations

import threading
import time
from typing import Any

import grpc
from google.protobuf.message import Message
from tritonclient.grpc import service_pb2_grpc

from throughline.domain.errors import Cancelled, DependencyUnavailable, InvalidInput, NotFound, ThroughlineError
from throughline.wire.errors import next_of_handshake
from throughline.wire.tls import TlsFiles, open_channel

_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A server that starts again is found within half a second, not after gRPC's usual growing pauses.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]
_LONGEST_PAUSE_SECONDS = 1.0
_NO_MEMORY = ("failed to allocate", "out of memory", "memory allocation", "cudaerrormemoryallocation")
"""As Triton, CUDA, TensorRT and ONNX Runtime say it."""
_COMING = ("available versions", "not at ready state")
"""As Triton says of a model that is being loaded or unloaded, though it calls it unknown."""
TLS_SETTINGS = "THROUGHLINE_TRITON_TLS"
"""What the variables of TLS to and of Triton begin with."""
PLAIN_TEXT = TlsFiles(TLS_SETTINGS)


class TritonRpc:
    """Calls methods of Triton's inference service by name. Safe to use from several threads."""

    def __init__(
        self, address: str, patience_seconds: float, request_timeout_seconds: float, tls: TlsFiles = PLAIN_TEXT
    ) -> None:
        """`address` is `host:port`. A call is tried again for up to `patience_seconds` while the server is away; one try lasts
        `request_timeout_seconds` at most, counted from when the server can be reached. Raises InvalidInput for files of `tls`
        that can't be used."""
        if tls.ca is None and (tls.certificate is not None or tls.key is not None):
            raise InvalidInput(f"a certificate is shown to a Triton that is itself verified; set {TLS_SETTINGS}_CA")
        self.address = address
        self._patience_seconds = patience_seconds
        self._request_timeout_seconds = request_timeout_seconds
        self._tls = tls
        self._channel = open_channel(address, tls, _OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._closed = threading.Event()

    def call(
        self,
        method: str,
        request: Message,
        patience_seconds: float | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """The answer to `request`; patience and timeout are the connection's own unless given. Raises DependencyUnavailable,
        InvalidInput, NotFound or, after close(), Cancelled."""
        patience = self._patience_seconds if patience_seconds is None else patience_seconds
        timeout = self._request_timeout_seconds if timeout_seconds is None else timeout_seconds
        deadline, pause = time.monotonic() + patience, 0.05
        while True:
            try:
                return getattr(self._stub, method)(request, timeout=timeout)
            except grpc.RpcError as failure:
                if not _passes(failure) or time.monotonic() + pause > deadline:
                    raise self._translated(failure, patience) from failure
            except ValueError as failure:  # what gRPC raises once its channel is closed
                raise Cancelled(f"the client of Triton at {self.address} was closed") from failure
            if self._closed.wait(pause):
                raise Cancelled(f"the client of Triton at {self.address} was closed")
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def close(self) -> None:
        """End the connection; calls that run or wait raise Cancelled."""
        self._closed.set()
        self._channel.close()

    def _translated(self, failure: grpc.RpcError, patience: float) -> ThroughlineError:
        code, details = failure.code(), failure.details()
        if self._closed.is_set() or code is grpc.StatusCode.CANCELLED:
            return Cancelled(f"the client of Triton at {self.address} was closed")
        if _unknown_model(failure):
            return NotFound(f"Triton at {self.address}: {details}; see which models its repository holds")
        if code is grpc.StatusCode.INVALID_ARGUMENT:
            return InvalidInput(f"Triton at {self.address} refuses the request: {details}")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            problem = f"gave no answer within {self._request_timeout_seconds:g} s; see whether it has too much to do"
        elif _out_of_memory(failure):
            problem = (
                f"has no memory for the request ({details}), tried for {patience:g} s; give it more, or smaller batches, fewer "
                "instances of its models, or fewer requests at once (THROUGHLINE_TRITON_IN_FLIGHT)"
            )
        elif _passes(failure):
            remedy = next_of_handshake(details or "", self._tls.settings) or "see whether it runs"
            problem = f"cannot be used ({details}), tried for {patience:g} s; {remedy}"
        else:
            problem = f"failed with {code.name}: {details}; see its log"
        return DependencyUnavailable(f"Triton at {self.address} {problem}")


def _unknown_model(failure: grpc.RpcError) -> bool:
    """Whether the repository lacks the model."""
    details = failure.details() or ""
    return not any(words in details for words in _COMING) and (
        failure.code() is grpc.StatusCode.NOT_FOUND or "unknown model" in details
    )


def _out_of_memory(failure: grpc.RpcError) -> bool:
    """Whether the server had too much to do at once: a moment later, with other requests done, there may be room."""
    code, details = failure.code(), (failure.details() or "").lower()
    return code is grpc.StatusCode.RESOURCE_EXHAUSTED or any(words in details for words in _NO_MEMORY)


def _passes(failure: grpc.RpcError) -> bool:
    """Whether the same call can succeed in a moment: the server is away, short of memory, or starts its backend's process again."""
    if _out_of_memory(failure):
        return True
    if failure.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND):
        return not _unknown_model(failure)
    return failure.code() is grpc.StatusCode.INTERNAL and "Stub process" in (failure.details() or "")
