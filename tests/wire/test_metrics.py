from __future__ import annotations

import urllib.request
from pathlib import Path

import grpc
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from tests.wire.generic import call, connected, generic_service, methods, serving
from throughline.domain.errors import Conflict, InvalidInput, NotFound
from throughline.v1 import ingest_pb2, orchestrator_pb2
from throughline.wire.metrics import DiskSpace, MetricsServer
from throughline.wire.service import serve
from throughline.wire.settings import ServiceSettings

COLLATE = next(method for method in methods() if method.name == "Collate")
GET_JOB = next(method for method in methods() if method.name == "GetJob")


def answered(method: str, code: str) -> float:
    """How many calls of the method have ended with the code."""
    return REGISTRY.get_sample_value("throughline_rpc_seconds_count", {"method": f"v1.{method}", "code": code}) or 0.0


def in_flight(method: str) -> float:
    return REGISTRY.get_sample_value("throughline_rpc_in_flight", {"method": f"v1.{method}"}) or 0.0


def scraped(address: str) -> dict[str, float]:
    """Samples without labels, and those with one by its value: name{value}."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        samples = [sample for family in families for sample in family.samples]
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value for sample in samples
    }


def test_calls_are_counted_by_method_and_code_and_those_that_run_too() -> None:
    seen: list[float] = []

    def behave(method: object, request: object, context: grpc.ServicerContext) -> None:
        seen.append(in_flight("Orchestrator/GetJob"))
        if getattr(request, "job_id", "") == "none":
            raise NotFound("there is no such job")

    before = answered("Orchestrator/GetJob", "OK"), answered("Orchestrator/GetJob", "NOT_FOUND")
    with serving(generic_service(behave)) as server, connected(server) as channel:
        call(channel, GET_JOB, orchestrator_pb2.GetJobRequest(job_id="some"))
        with pytest.raises(grpc.RpcError):
            call(channel, GET_JOB, orchestrator_pb2.GetJobRequest(job_id="none"))
    after = answered("Orchestrator/GetJob", "OK"), answered("Orchestrator/GetJob", "NOT_FOUND")
    assert after == (before[0] + 1, before[1] + 1)
    assert seen == [1.0, 1.0]
    assert in_flight("Orchestrator/GetJob") == 0.0


def test_a_stream_is_one_call_that_lasts_until_its_end() -> None:
    before = answered("Ingest/Collate", "OK")
    during: list[float] = []
    service = generic_service(lambda method, request, context: during.append(in_flight("Ingest/Collate")))
    with serving(service) as server, connected(server) as channel:
        call(channel, COLLATE, ingest_pb2.CollateRequest())
    assert (answered("Ingest/Collate", "OK"), during, in_flight("Ingest/Collate")) == (before + 1, [1.0], 0.0)


def test_a_refused_call_is_counted_too(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text("{}")
    before = answered("Orchestrator/GetJob", "UNAUTHENTICATED")
    with (
        serving(generic_service(), ServiceSettings(tokens_file=tmp_path / "tokens.json")) as server,
        connected(server) as channel,
        pytest.raises(grpc.RpcError),
    ):
        call(channel, GET_JOB, orchestrator_pb2.GetJobRequest())
    assert answered("Orchestrator/GetJob", "UNAUTHENTICATED") == before + 1


def test_metrics_are_served_where_the_settings_say_and_nowhere_without(tmp_path: Path) -> None:
    with serving(generic_service()) as server:
        assert server.metrics is None
    settings = ServiceSettings(
        metrics_listen="127.0.0.1:0", cache_dir=tmp_path / "not" / "yet", workspace_uri=f"file://{tmp_path}/a b%20c/"
    )
    server = serve([generic_service()], settings)
    assert server.metrics is not None
    samples = scraped(server.metrics.address)
    assert samples["throughline_disk_free_bytes{cache}"] == pytest.approx(
        samples["throughline_disk_free_bytes{workspace}"], rel=0.1
    )
    assert samples["throughline_build_info{0.1.0}"] == 1
    server.stop()
    with pytest.raises(OSError, match="refused"):
        scraped(server.metrics.address)


def test_an_address_that_cannot_be_used_is_named() -> None:
    metrics = MetricsServer("127.0.0.1:0")
    with pytest.raises(Conflict, match="THROUGHLINE_METRICS_LISTEN"):
        MetricsServer(metrics.address)
    metrics.stop()
    with pytest.raises(InvalidInput, match="host:port"):
        MetricsServer("9000")


def test_room_is_looked_up_at_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    free, size = DiskSpace({"cache": tmp_path / "a" / "b"}).collect()
    assert 0 < free.samples[0].value < size.samples[0].value
