"""What a real deployment tells of a job: one trace through all services, metrics, and log lines that know their job."""

from __future__ import annotations

import json
import time
import urllib.request

import grpc
from prometheus_client.parser import text_string_to_metric_families

from tests.otlp import CollectedSpan
from tests.whole.deployment import Theatre
from throughline.cli.stack import METRICS, SERVICES
from throughline.models.repository import CPU_BATCHING
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import STAGE_INGEST, ArtifactRef
from throughline.v1.ingest_pb2 import CollateRequest
from throughline.v1.ingest_pb2_grpc import IngestStub
from throughline.wire.client import connect
from throughline.wire.settings import ServiceSettings
from throughline.wire.tracing import trace_of

_PATIENCE_SECONDS = 60.0
_CALLS = {
    "list footage": ("ingest", "throughline.v1.Ingest/ListFootage"),
    "collate": ("ingest", "throughline.v1.Ingest/Collate"),
    "track": ("tracker", "throughline.v1.Tracker/Track"),
    "locate query": ("tracker", "throughline.v1.Tracker/LocateQuery"),
    "rank candidates": ("tracker", "throughline.v1.Tracker/RankCandidates"),
    "render pairs": ("renderer", "throughline.v1.Renderer/RenderPairs"),
    "send pairs": ("tier", "throughline.v1.Tier/ReviewPairs"),
    "render timeline": ("renderer", "throughline.v1.Renderer/RenderTimeline"),
    "alert": ("alert", "throughline.v1.Alert/TimelineReady"),
}
"""By step of the workflow: who is called for it, and what."""


def trace(theatre: Theatre, job_id: str) -> dict[str, CollectedSpan]:
    """The spans of a job by id, once the last of them have arrived: its root, and the answer of whoever was called last."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        spans = theatre.collector.spans(trace_of(job_id))
        if {"job", "succeed", "throughline.v1.Alert/TimelineReady"} <= {span.name for span in spans}:
            return {span.id: span for span in spans}
        assert time.monotonic() < deadline, sorted({span.name for span in spans})
        time.sleep(0.1)


def scraped(theatre: Theatre, service: str) -> dict[tuple[str, ...], float]:
    """A service's metrics: by name and values of labels, these in order of the labels' names."""
    url = f"http://{theatre.deployment.addresses[METRICS[service]]}/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_a_job_is_one_trace_through_all_services(theatre: Theatre, undisturbed_job: pb.Job) -> None:
    spans = trace(theatre, undisturbed_job.job_id)
    root = next(span for span in spans.values() if not span.parent)
    assert (root.service, root.name) == ("orchestrator", "job")
    assert (root.start_ns, root.end_ns) == (undisturbed_job.created_ns, undisturbed_job.ended_ns)
    assert {span.service for span in spans.values()} == set(SERVICES)
    assert all(span.parent in spans for span in spans.values() if span is not root), "a span has no parent"
    for step, (service, method) in _CALLS.items():
        calls = [span for span in spans.values() if (span.service, span.name) == (service, method)]
        assert calls, f"nobody was called for {step}"
        for call in calls:
            client = spans[call.parent]
            assert (client.service, client.name) == ("orchestrator", method)
            assert spans[client.parent].name == step
            assert spans[client.parent].parent == root.id


def test_each_camera_and_each_run_of_requests_to_triton_is_told_apart(
    theatre: Theatre, undisturbed_job: pb.Job
) -> None:
    spans = trace(theatre, undisturbed_job.job_id)
    for method in ("Ingest/Collate", "Tracker/Track"):
        calls = [
            span
            for span in spans.values()
            if span.name == f"throughline.v1.{method}" and span.service != "orchestrator"
        ]
        assert {call.attributes["throughline.camera"] for call in calls} == set(theatre.store.clocks)
    asked = [span for span in spans.values() if span.name in ("triton detector", "triton reid")]
    assert {(span.service, span.name) for span in asked} == {("tracker", "triton detector"), ("tracker", "triton reid")}
    assert all(spans[span.parent].name == "throughline.v1.Tracker/Track" for span in asked)
    assert all(int(span.attributes["throughline.count"]) > 0 for span in asked)


def test_the_call_that_submitted_a_job_is_linked_with_its_trace(theatre: Theatre, undisturbed_job: pb.Job) -> None:
    trace(theatre, undisturbed_job.job_id)
    submits = [span for span in theatre.collector.spans() if span.name == "throughline.v1.Orchestrator/SubmitJob"]
    linked = [span for span in submits if span.attributes.get("throughline.job") == undisturbed_job.job_id]
    assert [span.links for span in linked] == [(trace_of(undisturbed_job.job_id),)]


def test_a_job_whose_orchestrator_is_killed_goes_on_in_the_same_trace(theatre: Theatre) -> None:
    job_id = theatre.submit("trace-kill")
    theatre.wait(job_id, lambda job: any(each.stage == STAGE_INGEST and each.done for each in job.progress))
    theatre.kill("orchestrator")
    killed_ns = time.time_ns()
    theatre.recovered()
    assert theatre.finished(job_id).state == pb.JOB_STATE_SUCCEEDED
    spans = trace(theatre, job_id)
    assert {span.trace for span in spans.values()} == {trace_of(job_id)}
    steps = [span for span in spans.values() if span.service == "orchestrator" and span.start_ns > killed_ns]
    roots = {span.parent for span in steps if span.name in ("rank candidates", "render timeline", "alert")}
    assert roots == {span.id for span in spans.values() if not span.parent}


def test_metrics_tell_what_a_job_took(theatre: Theatre) -> None:
    cameras = len(theatre.store.clocks)
    # Other tests kill services, which then count anew, and leave detections of the same chunks: not at this rate.
    job = theatre.finished(theatre.submit("metrics", analysis_rate=9.0))
    assert job.state == pb.JOB_STATE_SUCCEEDED
    orchestrator, ingest, tracker, renderer, alert = (
        scraped(theatre, name) for name in ("orchestrator", "ingest", "tracker", "renderer", "alert")
    )
    assert orchestrator["throughline_jobs", "succeeded"] >= 1
    assert orchestrator["throughline_database_up",] == 1
    assert orchestrator["throughline_queue_length", "cameras", "waiting"] >= 0
    assert ingest["throughline_rpc_seconds_count", "OK", "v1.Ingest/Collate"] >= cameras
    assert ingest["throughline_chunks_fetched_total", "yes"] >= 4 * cameras
    assert ingest["throughline_chunk_fetched_bytes_total",] > 10_000
    assert ingest["throughline_artifacts_total", "reels", "made"] >= cameras
    assert tracker["throughline_frames_decoded_total",] >= tracker["throughline_frames_detected_total",] > 100
    crops, packs = (
        tracker["throughline_crops_embedded_total",],
        tracker["throughline_triton_request_seconds_count", "reid", "ok"],
    )
    assert crops / CPU_BATCHING.largest <= packs < crops
    assert (
        tracker["throughline_triton_pictures_total", "detector"]
        >= tracker["throughline_triton_batches_total", "detector"]
        > 0
    )
    assert renderer["throughline_rendered_seconds_total", "film", "encoded"] > 1
    assert alert["throughline_rpc_seconds_count", "OK", "v1.Alert/TimelineReady"] >= 1
    for samples in (orchestrator, ingest, tracker, renderer, alert):
        assert (
            0
            < samples["throughline_disk_free_bytes", "workspace"]
            < samples["throughline_disk_size_bytes", "workspace"]
        )


def test_a_line_that_is_logged_for_a_job_names_job_camera_request_and_trace(theatre: Theatre) -> None:
    job_id, camera = "job-of-a-line", "aisle 5"
    traceparent = f"00-{trace_of(job_id)}-00f067aa0ba902b7-01"
    settings = ServiceSettings(token=theatre.token("orchestrator"))
    footage = ArtifactRef(uri=f"{theatre.deployment.workspace_uri}jobs/{job_id}/footage/", key="footage")
    request = CollateRequest(job_id=job_id, camera=camera, footage=footage)
    metadata = (("traceparent", traceparent), ("x-request-id", "call-7"))
    with connect(theatre.deployment.addresses["ingest"], settings) as channel:
        answer = IngestStub(channel).Collate(request, metadata=metadata)
        assert answer.code() is grpc.StatusCode.NOT_FOUND
    log = (theatre.deployment.home / "logs" / "ingest.log").read_text().splitlines()
    line = next(line for line in map(json.loads, log) if line.get("job") == job_id)
    told = {name: line[name] for name in ("service", "camera", "request_id", "trace_id", "level")}
    assert told == {
        "service": "ingest",
        "camera": camera,
        "request_id": "call-7",
        "trace_id": trace_of(job_id),
        "level": "INFO",
    }
    assert "ended with NOT_FOUND" in line["message"]


def test_no_secret_stands_in_any_log(theatre: Theatre, undisturbed_job: pb.Job) -> None:
    logs = "".join(path.read_text() for path in (theatre.deployment.home / "logs").glob("*.log"))
    assert undisturbed_job.job_id in logs
    secrets = [theatre.token(name) for name in ("orchestrator", "tier")]
    assert not [secret for secret in secrets if secret in logs]
