"""Fixtures that more than one folder of tests uses: one real Triton server and one S3 API for the whole run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.s3 import bucket, s3_client, s3_url  # noqa: F401 - fixtures for all
from throughline.models.build import build_detector, build_reid
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings

# How long a case takes is no property of the code, but of the machine.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def real_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository built from the real weights; skips without THROUGHLINE_REALDATA."""
    if "THROUGHLINE_REALDATA" not in os.environ:
        pytest.skip("needs the real weights below THROUGHLINE_REALDATA")
    weights = Path(os.environ["THROUGHLINE_REALDATA"], "weights")
    repository = tmp_path_factory.mktemp("real_models")
    build_detector(weights / "yolox_nano.onnx", repository, licence="Apache-2.0")
    build_reid(weights / "osnet_x0_25_msmt17.onnx", repository, licence="MIT")
    return repository


@pytest.fixture(scope="session")
def model_repository(request: pytest.FixtureRequest) -> Path:
    """The real weights' repository where there are some, else the demo models that the source carries."""
    if "THROUGHLINE_REALDATA" in os.environ:
        repository: Path = request.getfixturevalue("real_repository")
        return repository
    demo = Path(__file__).parents[1] / "model_repository"
    if not (demo / "detector" / "card.json").is_file():
        pytest.skip("there are neither demo models nor real weights")
    return demo


@pytest.fixture(scope="session")
def triton(model_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A running server with a detector and a ReID model."""
    log = tmp_path_factory.mktemp("triton") / "triton.log"
    with TritonServer(TritonSettings(model_repository=model_repository, log=log)) as server:
        yield server


@pytest.fixture
def inference(triton: TritonServer) -> Iterator[InferenceClient]:
    """A client of the running server."""
    with InferenceClient(triton.grpc_address) as client:
        yield client
