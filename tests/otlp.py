"""A collector of traces: the gRPC service that OpenTelemetry's exporters send to, in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """One span as it arrived; ids hexadecimal, `parent` empty for a root."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str]
    start_ns: int
    end_ns: int
    links: tuple[str, ...]
    """Traces that it is linked with."""


class Collector(TraceServiceServicer):
    """Keeps all that it is sent."""

    def __init__(self) -> None:
        self.address = ""
        self._lock = threading.Lock()
        self._spans: list[CollectedSpan] = []

    def Export(  # noqa: N802
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        found = [
            CollectedSpan(
                service=next(
                    each.value.string_value for each in group.resource.attributes if each.key == "service.name"
                ),
                name=span.name,
                trace=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                attributes={each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes},
                start_ns=span.start_time_unix_nano,
                end_ns=span.end_time_unix_nano,
                links=tuple(link.trace_id.hex() for link in span.links),
            )
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self._spans += found
        return ExportTraceServiceResponse()

    def spans(self, trace: str = "") -> list[CollectedSpan]:
        """Those of one trace, or all."""
        with self._lock:
            return [span for span in self._spans if trace in ("", span.trace)]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that takes spans on a free port while the block runs."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2, "otlp"))
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait()
