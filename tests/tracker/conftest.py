"""A tracker over a workspace of its own, with the tiny models on a real Triton."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.perception.triton.conftest import tiny_repository, tiny_triton  # noqa: F401 - fixtures
from tests.tracker.scenes import open_workspace
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer
from throughline.storage.workspace import Workspace
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import TrackStage


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path)


@pytest.fixture
def tiny_client(tiny_triton: TritonServer) -> Iterator[InferenceClient]:  # noqa: F811
    with InferenceClient(tiny_triton.grpc_address) as client:
        yield client


@pytest.fixture
def stage(workspace: Workspace, tiny_client: InferenceClient) -> TrackStage:
    return TrackStage(workspace, tiny_client, TrackerSettings())
