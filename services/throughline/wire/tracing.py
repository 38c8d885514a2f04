"""Traces: where they go, and the one trace that each job has, whichever process works for it and however often it died.

The ids of a job's trace and of its root span are digests of the job's id. So every step joins the same trace without anything being
kept, and whoever knows the job can look its trace up. Sent by OTLP over gRPC where the standard OTEL_* variables say so; else nothing is.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from throughline.domain.errors import InvalidInput

JOB, CAMERA, COUNT = "throughline.job", "throughline.camera", "throughline.count"
"""Attributes of spans."""

T = TypeVar("T")
_TRACER = trace.get_tracer("throughline")
_PROPAGATOR = TraceContextTextMapPropagator()
_root_of: ContextVar[str] = ContextVar("root_of", default="")
_LAST_SPANS_SECONDS = 3.0
"""How long a process that ends waits for a collector; one that is away would else hold it up."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class _JobIds(RandomIdGenerator):
    """Random ids, except for the root span of a job."""

    def generate_trace_id(self) -> int:
        job_id = _root_of.get()
        return _trace_id(job_id) if job_id else super().generate_trace_id()

    def generate_span_id(self) -> int:
        job_id = _root_of.get()
        return _root_id(job_id) if job_id else super().generate_span_id()


def start_tracing(service: str, environment: Mapping[str, str] = os.environ) -> Callable[[], None]:
    """Send this process's spans to where the environment says; returns what sends the last of them at the end.

    Raises InvalidInput for an exporter or protocol that there is none of here.
    """
    exporter = environment.get("OTEL_TRACES_EXPORTER", "otlp" if any(map(environment.get, _ENDPOINTS)) else "none")
    if exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return lambda: None
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if exporter != "otlp" or (protocol or "grpc") != "grpc":
        raise InvalidInput(
            f"traces go out by OTLP over gRPC alone, not {exporter} over {protocol}; set OTEL_TRACES_EXPORTER=otlp and "
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or OTEL_TRACES_EXPORTER=none"
        )
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - only if used

    name = environment.get("OTEL_SERVICE_NAME") or service
    resource = Resource.create({SERVICE_NAME: name, SERVICE_NAMESPACE: "throughline"})
    provider = TracerProvider(resource=resource, id_generator=_JobIds(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

    def end() -> None:
        last = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(_LAST_SPANS_SECONDS)

    return end


@contextmanager
def span(
    name: str, attributes: Mapping[str, AttributeValue] | None = None, kind: SpanKind = SpanKind.INTERNAL
) -> Iterator[Span]:
    """A span around a block, which is the parent of those within; what the block raises marks it."""
    with _TRACER.start_as_current_span(name, kind=kind, attributes=attributes) as begun:
        yield begun


def counted(name: str, items: Iterable[T]) -> Iterator[T]:
    """The items, with one span over all of them that says how many they were: for what is too much for a span each."""
    begun, count = begin_span(name, SpanKind.CLIENT), 0
    try:
        for item in items:
            count += 1
            yield item
    except Exception as error:
        begun.record_exception(error)
        begun.set_status(Status(StatusCode.ERROR, str(error)))
        raise
    finally:
        begun.set_attribute(COUNT, count)
        begun.end()


def begin_span(name: str, kind: SpanKind = SpanKind.INTERNAL, parent: Context | None = None) -> Span:
    """A span that somebody else ends; nothing becomes its child by itself."""
    return _TRACER.start_span(name, context=parent, kind=kind)


@contextmanager
def job_trace(job_id: str) -> Iterator[None]:
    """Within the block spans belong to the job's trace, below its root."""
    token = otel.attach(trace.set_span_in_context(NonRecordingSpan(_root(job_id))))
    try:
        yield
    finally:
        otel.detach(token)


def record_job(job_id: str, start_ns: int, end_ns: int, state: str, error: str) -> None:
    """Write the job's root span, once it has ended."""
    token = _root_of.set(job_id)
    try:
        attributes = {JOB: job_id, "throughline.state": state}
        root = _TRACER.start_span("job", context=Context(), attributes=attributes, start_time=start_ns)
    finally:
        _root_of.reset(token)
    if error:
        root.set_status(Status(StatusCode.ERROR, error))
    root.end(end_ns)


def link_job(job_id: str) -> None:
    """Say that the present span is about a job, which has a trace of its own."""
    here = trace.get_current_span()
    if here.is_recording():
        here.set_attribute(JOB, job_id)
        here.add_link(_root(job_id))


def trace_of(job_id: str) -> str:
    """The id of the job's trace, hexadecimal."""
    return trace.format_trace_id(_trace_id(job_id))


def headers() -> dict[str, str]:
    """What tells a called server of the present span: W3C traceparent."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


def caller(received: Mapping[str, str]) -> Context:
    """The span that a call was made in, from its headers."""
    return _PROPAGATOR.extract(received, Context())


def _root(job_id: str) -> SpanContext:
    """The job's root span, as sampled as the provider samples roots of its trace."""
    provider, flags = trace.get_tracer_provider(), TraceFlags(TraceFlags.DEFAULT)
    if isinstance(provider, TracerProvider):
        decision = provider.sampler.should_sample(None, _trace_id(job_id), "job").decision
        flags = TraceFlags(TraceFlags.SAMPLED if decision is Decision.RECORD_AND_SAMPLE else TraceFlags.DEFAULT)
    return SpanContext(_trace_id(job_id), _root_id(job_id), is_remote=True, trace_flags=flags)


def _trace_id(job_id: str) -> int:
    return int.from_bytes(_digest(job_id)[:16])


def _root_id(job_id: str) -> int:
    return int.from_bytes(_digest(job_id)[16:24])


def _digest(job_id: str) -> bytes:
    return hashlib.sha256(f"throughline job {job_id}".encode()).digest()
