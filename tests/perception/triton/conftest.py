"""A server with tiny models, so that these tests need no trained weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.weights import CLASSES, tiny_detector, tiny_reid
from throughline.models.build import build_detector, build_reid
from throughline.models.graph import RGB_255
from throughline.perception.triton.server import TritonServer, TritonSettings


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("tiny_models")
    weights = tmp_path_factory.mktemp("tiny_weights")
    build_detector(tiny_detector(weights / "detector.onnx"), repository, class_names=CLASSES, max_boxes=10)
    build_reid(tiny_reid(weights / "reid.onnx"), repository, normalisation=RGB_255)
    return repository


@pytest.fixture(scope="session")
def tiny_triton(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    log = tmp_path_factory.mktemp("tiny_triton") / "triton.log"
    with TritonServer(TritonSettings(model_repository=tiny_repository, log=log)) as server:
        yield server
