"""Models replaced under a real Triton that goes on serving."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.models.weights import CLASSES, picture, tiny_detector, tiny_reid
from throughline.domain.errors import DependencyUnavailable, FailedPrecondition
from throughline.models.build import build_detector, build_reid
from throughline.models.graph import RGB_255, Normalisation
from throughline.models.repository import check_digest, versions
from throughline.models.swap import swap
from throughline.perception.triton.client import DETECTOR, REID, InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.storage.objects import file_uri, open_objects
from throughline.storage.workspace import Workspace
from throughline.tracker.pins import pin_models, pinned_reid
from throughline.wire.settings import ServiceSettings

DARKER = Normalisation("rgb", (40.0, 40.0, 40.0))
CROP = np.random.default_rng(2).integers(0, 256, (1, 64, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Repositories `live`, `next` and `last` with a ReID model each, and a detector in the first."""
    folder = tmp_path_factory.mktemp("swap")
    weights = tiny_reid(folder / "reid.onnx")
    detector = tiny_detector(folder / "detector.onnx")
    build_detector(detector, folder / "live", class_names=CLASSES, max_boxes=10)
    for name, normalisation in (("live", RGB_255), ("next", DARKER), ("last", Normalisation("bgr"))):
        build_reid(weights, folder / name, normalisation=normalisation)
    build_reid(tiny_reid(folder / "short.onnx", dim=4), folder / "short", normalisation=RGB_255)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    settings = ServiceSettings(workspace_uri=file_uri(tmp_path / "workspace"), allowed_roots=(tmp_path,))
    return Workspace(settings.workspace_uri, open_objects(settings), tmp_path / "cache")


@pytest.fixture(scope="module")
def server(built: Path) -> Iterator[TritonServer]:
    with TritonServer(TritonSettings(model_repository=built / "live", log=built / "log")) as server:
        yield server


def test_a_job_ends_with_the_models_that_it_began_with(built: Path, server: TritonServer, workspace: Workspace) -> None:
    live = built / "live" / "reid"
    with InferenceClient(server.grpc_address) as client:
        old_job = pin_models(workspace, client, "old")
        before, began_with = client.embed(CROP).result(), client.model(REID)
        version, card = swap(live, built / "next" / "reid", server.grpc_address)
        assert version == "2"
        assert client.model(REID) == card == check_digest(live)

        new_job = pin_models(workspace, client, "new")
        after = new_job.embed(CROP).result()
        assert np.abs(after - before).max() > 1e-3
        for view in (old_job, pin_models(workspace, client, "old"), pinned_reid(workspace, client, "old")):
            np.testing.assert_array_equal(view.embed(CROP).result(), before)
            assert view.model(REID).digest == began_with.digest
        old_job.check_served(began_with)
        assert len(new_job.detect(picture((250, 0, 0), 2, 3)).result().scores) == 1

        with pytest.raises(FailedPrecondition, match="holds already"):
            swap(live, built / "next" / "reid", server.grpc_address)
        with pytest.raises(FailedPrecondition, match="other sizes"):
            swap(live, built / "short" / "reid", server.grpc_address)
        assert versions(live) == ["1", "2"]

        swap(live, built / "last" / "reid", server.grpc_address)
        assert versions(live) == ["2", "3"]
        np.testing.assert_array_equal(new_job.embed(CROP).result(), after)
        with pytest.raises(FailedPrecondition, match=r"which this work is pinned to, is no longer served"):
            pin_models(workspace, client, "old")
        with pytest.raises(FailedPrecondition, match="submit a new job"):
            old_job.check_served(began_with)
        assert old_job.model(DETECTOR) == client.model(DETECTOR)


def test_a_model_that_triton_does_not_take_leaves_the_repository_as_it_was(built: Path, tmp_path: Path) -> None:
    live = built / "live" / "detector"
    before = check_digest(live)
    other = tiny_detector(tmp_path / "detector.onnx", decoded=True)
    build_detector(other, tmp_path, class_names=CLASSES, max_boxes=10)
    with pytest.raises(DependencyUnavailable):
        swap(live, tmp_path / "detector", "127.0.0.1:1", patience_seconds=0.5)
    assert check_digest(live) == before
    assert versions(live) == ["1"]
