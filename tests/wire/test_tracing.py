from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.otlp import CollectedSpan, collecting
from throughline.domain.errors import InvalidInput
from throughline.wire.tracing import headers, job_trace, start_tracing, trace_of

PROGRAM = """
import sys
from throughline.wire.tracing import counted, job_trace, record_job, span, start_tracing
end = start_tracing("renderer")
with job_trace("j1"), span("draw", {"throughline.camera": "door"}):
    list(counted("triton reid", "abc"))
record_job("j1", 1_000, 2_000, "failed", "no footage")
end()
"""


def traced(program: str = PROGRAM, **variables: str) -> list[CollectedSpan]:
    with collecting() as collector:
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}", **variables}
        subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
        return collector.spans()


def test_whoever_works_for_a_job_adds_to_its_one_trace() -> None:
    spans = {span.name: span for span in [*traced(), *traced(PROGRAM.replace("renderer", "tier"))]}
    assert {span.trace for span in spans.values()} == {trace_of("j1")}
    root, draw, requests = spans["job"], spans["draw"], spans["triton reid"]
    assert (root.parent, root.start_ns, root.end_ns) == ("", 1_000, 2_000)
    assert (draw.parent, draw.attributes["throughline.camera"]) == (root.id, "door")
    assert (requests.parent, requests.attributes["throughline.count"]) == (draw.id, "3")


def test_the_standard_variables_name_the_service_and_choose_what_is_kept() -> None:
    assert {span.service for span in traced(OTEL_SERVICE_NAME="store-17")} == {"store-17"}
    assert traced(OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.0") == []


@pytest.mark.parametrize("off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_traces_can_be_turned_off(off: dict[str, str]) -> None:
    assert traced(**off) == []


def test_a_collector_that_is_away_holds_no_process_up() -> None:
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    program = PROGRAM.replace("end()", "import time; began = time.monotonic(); end(); print(time.monotonic() - began)")
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert float(done.stdout) < 6.0


@pytest.mark.parametrize(
    "variables",
    [{"OTEL_TRACES_EXPORTER": "zipkin"}, {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}],
)
def test_a_way_out_that_there_is_none_of_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="OTLP over gRPC"):
        start_tracing("x", variables)


def test_calls_name_the_jobs_trace_though_nothing_is_sent_anywhere() -> None:
    assert headers() == {}
    with job_trace("j1"):
        assert trace_of("j1") in headers()["traceparent"]
    assert trace_of("j1") != trace_of("j2")
