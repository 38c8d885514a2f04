"""One job of an evaluation on a deployment of its own."""

from __future__ import annotations

import uuid
from pathlib import Path

from rich.console import Console

from throughline.cli.connection import CALL_SECONDS, orchestrator
from throughline.cli.deployment import Deployment
from throughline.cli.watch import follow
from throughline.storage.objects import open_objects
from throughline.storage.workspace import Workspace
from throughline.v1 import orchestrator_pb2 as pb
from throughline.wire.settings import ServiceSettings


def run_job(deployment: Deployment, footage_uri: str, query: str, options: pb.JobOptions, console: Console) -> pb.Job:
    """Submit a job and follow it to its end; raise RuntimeError where it did not succeed."""
    request = pb.SubmitJobRequest(
        request_id=f"evaluation-{uuid.uuid4().hex}", footage_uri=footage_uri, query_json=query, options=options
    )
    with orchestrator(deployment.home) as stub:
        job_id = stub.SubmitJob(request, timeout=CALL_SECONDS).job_id
    job = follow(deployment.home, job_id, console)
    if job.state != pb.JOB_STATE_SUCCEEDED:
        raise RuntimeError(f"job {job_id}: {job.error}")
    return job


def workspace_of(deployment: Deployment, cache: Path) -> Workspace:
    """The deployment's workspace, to read."""
    settings = ServiceSettings(
        workspace_uri=deployment.workspace_uri, allowed_roots=(deployment.home / "workspace",), cache_dir=cache
    )
    return Workspace(deployment.workspace_uri, open_objects(settings), cache)
