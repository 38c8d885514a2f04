"""The models of a job: those that were served when it was submitted, or its first camera tracked, for all its cameras and rounds."""

from __future__ import annotations

import json

from throughline.perception.triton.client import DETECTOR, REID, InferenceClient
from throughline.storage.workspace import Artifact, Workspace

MODELS_FILE = "models.json"


def pinned_digests(
    workspace: Workspace, client: InferenceClient, job_id: str, patience_seconds: float | None = None
) -> dict[str, str]:
    """Digests by name of the models that the job is pinned to; they are pinned by whoever asks first.

    `patience_seconds`: how long a Triton that is away is waited for, by default as long as the client does.
    """
    folder = _folder(job_id)
    if workspace.find(folder) is None:
        digests = {name: client.model(name, patience_seconds).digest for name in (DETECTOR, REID)}
        with workspace.create(folder) as place:
            (place / MODELS_FILE).write_text(json.dumps(digests, indent=2) + "\n")
    return _digests(workspace.get(folder))


def pin_models(workspace: Workspace, client: InferenceClient, job_id: str) -> InferenceClient:
    """A client of the models that the job is pinned to. Raises FailedPrecondition where one of them is no longer served."""
    return client.pinned(pinned_digests(workspace, client, job_id))


def pinned_reid(workspace: Workspace, client: InferenceClient, job_id: str) -> InferenceClient:
    """A client of the job's ReID model; `client` itself where the job is not pinned."""
    artifact = workspace.find(_folder(job_id))
    return client if artifact is None else client.pinned({REID: _digests(artifact)[REID]})


def _folder(job_id: str) -> str:
    return f"jobs/{job_id}/models"


def _digests(artifact: Artifact) -> dict[str, str]:
    digests: dict[str, str] = json.loads(artifact.path(MODELS_FILE).read_bytes())
    return digests
