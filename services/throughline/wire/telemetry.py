"""What stands at both ends of every call: it is counted, timed, traced, and known to the log by job, camera and request."""

from __future__ import annotations

import contextvars
import time
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from throughline.wire import tracing
from throughline.wire.handlers import Behaviour, Continuation, Handler, behaviour_of, with_behaviour
from throughline.wire.metrics import RPC_IN_FLIGHT, RPC_SECONDS
from throughline.wire.subject import Subject, set_subject, subject

OURS = "/throughline."
REQUEST_ID_HEADER = "x-request-id"
_LONGEST_ID = 128
_CALLERS_OWN = ("INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "CANCELLED", "UNAUTHENTICATED", "PERMISSION_DENIED")
"""Codes that are no failure of the server."""


class TelemetryInterceptor(grpc.ServerInterceptor):
    """The outermost: what the others refuse is counted too. Health and reflection are left out."""

    def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(OURS):
            return handler
        observe = _observed_stream if handler.response_streaming else _observed
        return with_behaviour(handler, observe(behaviour_of(handler), handler_call_details))


class _Call:
    """One call at the server. Whatever belongs to it runs in its own context, by `run`."""

    def __init__(self, details: grpc.HandlerCallDetails, request: Any) -> None:
        self._method = details.method.removeprefix(OURS)
        self._began = time.monotonic()
        received = {str(name): str(value) for name, value in details.invocation_metadata or ()}
        job, camera = str(getattr(request, "job_id", "")), str(getattr(request, "camera", ""))
        own = (str(getattr(request, "request_id", "")) or received.get(REQUEST_ID_HEADER, ""))[:_LONGEST_ID]
        self._span = tracing.begin_span(details.method[1:], SpanKind.SERVER, tracing.caller(received))
        if self._span.is_recording():
            self._span.set_attributes({"rpc.system": "grpc", tracing.JOB: job, tracing.CAMERA: camera})
        self._context = contextvars.copy_context()
        self.run(set_subject, Subject(job, camera, own or uuid.uuid4().hex[:16]))
        self.run(otel.attach, trace.set_span_in_context(self._span))
        RPC_IN_FLIGHT.labels(self._method).inc()

    def run(self, function: Any, *args: Any) -> Any:
        return self._context.run(function, *args)

    def end(self, context: grpc.ServicerContext, error: BaseException | None) -> None:
        code = context.code()  # type: ignore[attr-defined]  # None for as long as nothing went wrong
        if code is None and error is not None:
            code = grpc.StatusCode.CANCELLED if isinstance(error, GeneratorExit) else grpc.StatusCode.UNKNOWN
        name = "OK" if code is None else code.name
        RPC_IN_FLIGHT.labels(self._method).dec()
        RPC_SECONDS.labels(self._method, name).observe(time.monotonic() - self._began)
        _end_span(self._span, name, is_failure=name not in ("OK", *_CALLERS_OWN))


def _observed(behaviour: Behaviour, details: grpc.HandlerCallDetails) -> Behaviour:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        this = _Call(details, request)
        try:
            response = this.run(behaviour, request, context)
        except BaseException as error:
            this.end(context, error)
            raise
        this.end(context, None)
        return response

    return call


def _observed_stream(behaviour: Behaviour, details: grpc.HandlerCallDetails) -> Behaviour:
    def call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        this = _Call(details, request)
        try:
            responses = this.run(lambda: iter(behaviour(request, context)))
            while True:
                try:
                    response = this.run(next, responses)
                except StopIteration:
                    break
                yield response
        except BaseException as error:
            this.end(context, error)
            raise
        this.end(context, None)

    return call


class CallingInterceptor(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """A span around every call that leaves, and its trace and request id in the metadata."""

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return self._call(continuation, client_call_details, request)

    def intercept_unary_stream(
        self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return self._call(continuation, client_call_details, request)

    @staticmethod
    def _call(continuation: Any, details: grpc.ClientCallDetails, request: Any) -> Any:
        begun = tracing.begin_span(str(details.method)[1:], SpanKind.CLIENT)
        with trace.use_span(begun, end_on_exit=False):
            sent = tuple(tracing.headers().items())
            request_id = subject().request
            if request_id and request_id.isascii() and request_id.isprintable():  # what metadata can hold
                sent += ((REQUEST_ID_HEADER, request_id),)
            call = continuation(with_headers(details, sent), request)
        if begun.is_recording():
            call.add_done_callback(
                lambda done: _end_span(begun, done.code().name, is_failure=bool(done.code().value[0]))
            )
        return call


class _CallDetails(grpc.ClientCallDetails):
    """The same call with more headers."""

    def __init__(self, details: grpc.ClientCallDetails, headers: tuple[tuple[str, str], ...]) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = (*(details.metadata or ()), *headers)
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


def with_headers(details: grpc.ClientCallDetails, headers: tuple[tuple[str, str], ...]) -> grpc.ClientCallDetails:
    """The same call with more metadata."""
    return _CallDetails(details, headers)


def _end_span(ended: Span, code: str, *, is_failure: bool) -> None:
    if ended.is_recording():
        ended.set_attribute("rpc.grpc.status_code", grpc.StatusCode[code].value[0])
        if is_failure:
            ended.set_status(Status(StatusCode.ERROR, code))
    ended.end()
