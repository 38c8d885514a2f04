"""The stage over tracks artifacts: several reels of a camera, clocks, cancelled work, and broken files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable

import pytest

from tests.tracker.scenes import SECOND, Camera, Walk
from throughline.domain.errors import Cancelled, CorruptArtifact, FailedPrecondition
from throughline.domain.time import ClockMap
from throughline.domain.work import Work
from throughline.perception.triton.client import REID, InferenceClient
from throughline.storage.workspace import Artifact, Workspace
from throughline.tracker.artifacts import CameraTracks
from throughline.tracker.identities.stage import IdentifyStage, identity_rules

RULES = identity_rules(0.9, "cosine")
RED, BLUE = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0, 0.0, 0.0)

Publish = Callable[..., CameraTracks]


@pytest.fixture
def publish(workspace: Workspace, tiny_client: InferenceClient) -> Publish:
    digest = tiny_client.model(REID).digest

    def made(name: str, *walks: Walk, key: str = "", clock: ClockMap | None = None) -> CameraTracks:
        return Camera(name, walks, clock or ClockMap(), digest).publish(workspace, key)

    return made


@pytest.fixture
def stage(workspace: Workspace, tiny_client: InferenceClient) -> IdentifyStage:
    return IdentifyStage(workspace, tiny_client)


def lines(artifact: Artifact) -> list[dict[str, str]]:
    with artifact.path("global_id_map.csv").open() as file:
        return list(csv.DictReader(file))


def test_reels_of_one_camera_are_told_apart(stage: IdentifyStage, publish: Publish) -> None:
    monday = publish("cam1", Walk(1, 0, 2, vector=RED), Walk(2, 1, 3, vector=BLUE), key="0123456789abcdef")
    tuesday = publish("cam1", Walk(1, 90, 92, vector=BLUE), key="fedcba9876543210")
    artifact = stage.run("days", [tuesday, monday], RULES, Work())
    found = {(line["video"], line["track_id"]): line["global_id"] for line in lines(artifact)}
    assert found == {("cam1 0123456789ab", "1"): "1", ("cam1 0123456789ab", "2"): "2", ("cam1 fedcba987654", "1"): "2"}
    reels = json.loads(artifact.path("reels.json").read_bytes())
    assert reels["cam1 fedcba987654"]["tracks"] == tuesday.artifact.uri
    assert stage.run("days", [monday, tuesday], RULES, Work()).uri == artifact.uri


def test_galleries_show_clear_crops(stage: IdentifyStage, workspace: Workspace, tiny_client: InferenceClient) -> None:
    digest = tiny_client.model(REID).digest
    camera = Camera("cam1", (Walk(1, 0, 2, vector=RED),), reid_digest=digest, crops_each=3, poor_each=2)
    artifact = stage.run("clear", [camera.publish(workspace)], RULES, Work())
    pictures = [name for name in artifact.names() if name.startswith("galleries/")]
    assert [artifact.path(name).read_bytes() for name in pictures] == [b"\xff\xd8a picture\xff\xd9"]


def test_times_are_utc_by_the_camera_s_clock(stage: IdentifyStage, publish: Publish) -> None:
    here = publish("cam1", Walk(1, 0, 2, vector=RED))
    late = publish("cam2", Walk(1, 3, 5, vector=RED), clock=ClockMap(offset_ns=2 * SECOND))
    first, second = lines(stage.run("clocks", [here, late], RULES, Work()))
    assert int(second["first_ns"]) - int(first["last_ns"]) == 3 * SECOND


def test_cancelled_work_leaves_nothing(stage: IdentifyStage, publish: Publish, workspace: Workspace) -> None:
    tracks = publish("cam1", *(Walk(number, number, number + 0.5, vector=RED) for number in range(1, 6)))
    work = Work()
    work.cancel()
    with pytest.raises(Cancelled):
        stage.run("stopped", [tracks], RULES, work)
    assert len(lines(stage.run("stopped", [tracks], RULES, Work()))) == 5


def test_broken_tables_are_named(stage: IdentifyStage, publish: Publish) -> None:
    tracks = publish("cam1", Walk(1, 0, 2, vector=RED))
    path = tracks.artifact.path("tracks.parquet")
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(CorruptArtifact, match="cannot be read as a table"):
        stage.run("broken", [tracks], RULES, Work())


def test_tracks_of_another_model_are_refused(stage: IdentifyStage, workspace: Workspace) -> None:
    other = Camera("cam1", (Walk(1, 0, 2, vector=RED),), reid_digest="another").publish(workspace)
    with pytest.raises(FailedPrecondition, match="embedded by ReID model another"):
        stage.run("models", [other], RULES, Work())
