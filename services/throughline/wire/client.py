"""Calling other services: channels with token, TLS and limits, and their errors as the domain's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from throughline.domain.errors import Cancelled
from throughline.wire.errors import error_of
from throughline.wire.settings import ServiceSettings
from throughline.wire.telemetry import CallingInterceptor, with_headers
from throughline.wire.tls import open_channel


def connect(target: str, settings: ServiceSettings, *, token: str | None = None) -> grpc.Channel:
    """A channel to host:port that sends `token`, by default the service's own. It connects on first use; close it at the end.

    Where the name stands for several addresses, as that of a headless service in Kubernetes, calls go to each in turn.
    """
    options = [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.lb_policy_name", "round_robin"),
        ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    ]
    channel = open_channel(target, settings.tls, options)
    sent = settings.token if token is None else token
    return grpc.intercept_channel(channel, CallingInterceptor(), *([_TokenInterceptor(sent)] if sent else []))


@contextmanager
def translated_errors(peer: str) -> Iterator[None]:
    """Raise what a call to `peer`, such as "ingest at 10.0.0.1:50051", ends with as a ThroughlineError. Read streams within."""
    try:
        yield
    except grpc.RpcError as error:
        raise error_of(error, peer) from error
    except grpc.FutureCancelledError as error:
        # `future.result` raises it, and not an RpcError, where the call was cancelled from here.
        raise Cancelled(f"the call of {peer} was cancelled") from error


class _TokenInterceptor(
    grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor
):
    """Sends the token with every call."""

    def __init__(self, token: str) -> None:
        self._headers = (("authorization", f"Bearer {token}"),)

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return continuation(with_headers(client_call_details, self._headers), request)

    def intercept_unary_stream(
        self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return continuation(with_headers(client_call_details, self._headers), request)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: grpc.ClientCallDetails, request_iterator: Any
    ) -> Any:
        return continuation(with_headers(client_call_details, self._headers), request_iterator)
