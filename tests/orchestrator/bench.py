"""An orchestrator on loopback between scripted services, and the calls that a test makes of it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from tests.orchestrator.scripted import Script
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1 import tier_pb2
from throughline.v1.common_pb2 import VERDICT_INVALID, VERDICT_VALID, Verdict
from throughline.v1.orchestrator_pb2_grpc import OrchestratorStub
from throughline.wire.client import translated_errors

ENDED = (pb.JOB_STATE_SUCCEEDED, pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELLED)
QUERY: dict[str, Any] = {
    "camera": "cam1",
    "label": "red coat",
    "frame_size": {"width": 640, "height": 480},
    "observations": [
        {"time": "2026-03-01T10:00:00Z", "box": [10, 10, 60, 160]},
        {"time": "2026-03-01T10:00:01Z", "box": [20, 10, 70, 160]},
    ],
}


def settings_for(folder: Path, services: str, **changes: Any) -> OrchestratorSettings:
    """Quick settings; every service is at one address."""
    values: dict[str, Any] = {
        "workspace_uri": f"file://{folder}/workspace/",
        "allowed_roots": (folder,),
        "cache_dir": folder / "cache",
        "database_url": f"sqlite:///{folder}/orchestrator.db",
        "ingest_target": services,
        "tracker_target": services,
        "renderer_target": services,
        "tier_target": services,
        "alert_target": services,
        "orchestrator_target": "127.0.0.1:9",
        "poll_seconds": 0.05,
        "sweep_seconds": 0.1,
        "retry_first_seconds": 0.05,
        "retry_most_seconds": 0.2,
        "pairs_per_call": 2,
        "reminder_seconds": 0,
        "max_workers": 16,
    }
    return OrchestratorSettings(**{**values, **changes})


def request(folder: Path | str = "", **fields: Any) -> pb.SubmitJobRequest:
    """A good request; `options` and other fields replace its own."""
    values: dict[str, Any] = {
        "request_id": uuid.uuid4().hex,
        "footage_uri": "s3://footage/store/",
        "query_json": json.dumps(QUERY),
    }
    return pb.SubmitJobRequest(**{**values, **fields})


class Client:
    """Calls an orchestrator; errors come as ThroughlineError."""

    def __init__(self, address: str) -> None:
        self.jobs: list[str] = []
        self.channel = grpc.insecure_channel(address)
        self.stub = OrchestratorStub(self.channel)

    def call(self, method: str, message: Any) -> Any:
        with translated_errors("orchestrator"):
            return getattr(self.stub, method)(message, timeout=20, wait_for_ready=True)

    def submit(self, **fields: Any) -> str:
        self.jobs.append(self.call("SubmitJob", request(**fields)).job_id)
        return self.jobs[-1]

    def job(self, job_id: str) -> pb.Job:
        return self.call("GetJob", pb.GetJobRequest(job_id=job_id)).job

    def watch(self, job_id: str, until: Sequence[int] = ENDED, seconds: float = 120.0) -> list[pb.Job]:
        """Every state from now until one of `until`."""
        seen: list[pb.Job] = []
        stream = self.stub.WatchJob(pb.WatchJobRequest(job_id=job_id), timeout=seconds, wait_for_ready=True)
        with translated_errors("orchestrator"):
            for response in stream:
                seen.append(response.job)
                if response.job.state in until:
                    stream.cancel()
                    return seen
        return seen

    def until(self, job_id: str, *states: int) -> pb.Job:
        """Wait until the job is in one of some states, by default ended."""
        last = self.watch(job_id, states or ENDED)[-1]
        assert last.state in (states or ENDED), f"the job is {pb.JobState.Name(last.state)}: {last.error}"
        return self.job(job_id)

    def cancel(self, job_id: str, reason: str = "") -> pb.CancelJobResponse:
        return self.call("CancelJob", pb.CancelJobRequest(request_id=uuid.uuid4().hex, job_id=job_id, reason=reason))

    def answer(
        self, review: tier_pb2.ReviewPairsRequest, answers: dict[str, Verdict.ValueType], **fields: Any
    ) -> pb.AnnotationResultResponse:
        """Answer pairs of a review as its tier would."""
        values: dict[str, Any] = {
            "request_id": uuid.uuid4().hex,
            "job_id": review.job_id,
            "callback_token": review.callback_token,
            "round": review.round,
            "annotations": [
                pb.Annotation(pair_id=pair_id, verdict=verdict, annotator="ann") for pair_id, verdict in answers.items()
            ],
        }
        return self.call("AnnotationResult", pb.AnnotationResultRequest(**{**values, **fields}))

    def rebuild(self, job_id: str, request_id: str = "") -> int:
        message = pb.RebuildTimelineRequest(request_id=request_id or uuid.uuid4().hex, job_id=job_id)
        return self.call("RebuildTimeline", message).revision

    def await_round(self, job_id: str, number: int) -> pb.Job:
        """Wait until people are asked for a round."""
        waits, ended = pb.JOB_STATE_WAITING_FOR_REVIEW, time.monotonic() + 120
        while (job := self.job(job_id)).round < number or job.state != waits:
            assert job.state not in ENDED, f"the job is {pb.JobState.Name(job.state)}: {job.error}"
            assert time.monotonic() < ended, f"round {number} never came: {job}"
            time.sleep(0.05)
        return job

    def answer_all(self, script: Script, job_id: str, number: int = 1) -> None:
        """Confirm every other pair of a round."""
        review = next(review for review in script.reviews if (review.job_id, review.round) == (job_id, number))
        verdicts = {
            pair.pair_id: VERDICT_INVALID if index % 2 else VERDICT_VALID for index, pair in enumerate(review.pairs)
        }
        self.answer(review, verdicts)

    def close(self) -> None:
        """Leave nothing at work behind."""
        for job_id in self.jobs:
            self.cancel(job_id)
        self.channel.close()
