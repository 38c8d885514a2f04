"""The whole service over the wire: two cameras tracked, the query located, the others ranked."""

from __future__ import annotations

import csv
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import grpc
import pytest

from tests.reflection import Reflection
from tests.tracker.footage import Painted, Recording, moment
from throughline.domain.errors import (
    Conflict,
    DeadlineExceeded,
    DependencyUnavailable,
    FailedPrecondition,
    InvalidInput,
    InvalidQuery,
    QueryNotLocated,
)
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.storage.workspace import Artifact, Workspace
from throughline.tracker.__main__ import build
from throughline.tracker.settings import TrackerSettings
from throughline.v1 import common_pb2, tracker_pb2
from throughline.v1.tracker_pb2_grpc import TrackerStub
from throughline.wire.client import connect, translated_errors
from throughline.wire.convert import artifact_to_proto
from throughline.wire.service import serve

WANTED = Painted(0.0, 3.0, column=1, row=2, upper=(0, 80, 0), lower=(0, 0, 60))
AGAIN = Painted(2.2, 4.0, column=1, row=2, upper=(0, 80, 0), lower=(0, 0, 60))
OTHER = Painted(0.0, 1.9, column=1, row=2, upper=(70, 70, 70), lower=(90, 0, 0))


@pytest.fixture
def settings(tmp_path: Path, tiny_triton: TritonServer) -> TrackerSettings:
    return TrackerSettings(
        workspace_uri=f"file://{tmp_path}/workspace",
        cache_dir=tmp_path / "cache",
        allowed_roots=(tmp_path,),
        triton_target=tiny_triton.grpc_address,
    )


@pytest.fixture
def channel(settings: TrackerSettings) -> Iterator[grpc.Channel]:
    server = serve([build(settings)], settings)
    with connect(server.address, settings) as channel:
        yield channel
    server.stop()


@pytest.fixture
def stub(channel: grpc.Channel) -> TrackerStub:
    return TrackerStub(channel)


@pytest.fixture
def reels(workspace: Workspace) -> dict[str, Artifact]:
    return {
        "cam1": Recording((WANTED,)).publish(workspace, "cam1"),
        "cam2": Recording((AGAIN, OTHER)).publish(workspace, "cam2"),
    }


def tracked(stub: TrackerStub, camera: str, reel: Artifact) -> list[tracker_pb2.TrackResponse]:
    request = tracker_pb2.TrackRequest(job_id="job", reel=artifact_to_proto(reel), camera=camera)
    with translated_errors("tracker"):
        return list(stub.Track(request))


def all_tracked(stub: TrackerStub, reels: dict[str, Artifact]) -> dict[str, tracker_pb2.CameraTracks]:
    return {
        camera: tracker_pb2.CameraTracks(
            camera=camera, tracks=tracked(stub, camera, reel)[-1].result.tracks, reel=artifact_to_proto(reel)
        )
        for camera, reel in reels.items()
    }


def query_json(row: int = 2, camera: str = "cam1") -> str:
    """Where the wanted person stands at 0.3 s and 0.6 s later, in the next cell."""
    left = [-16 + 32 * cell for cell in (1, 2, 3)]
    observations = [
        {
            "time": str(moment(0.3 + 0.6 * index)),
            "box": [max(0, x), max(0, row * 32 - 80), x + 96, min(256, row * 32 + 112)],
        }
        for index, x in enumerate(left)
    ]
    size = {"width": 256, "height": 256}
    return json.dumps({"camera": camera, "frame_size": size, "observations": observations})


def located(stub: TrackerStub, tracks: tracker_pb2.CameraTracks, query: str) -> tracker_pb2.LocateQueryResponse:
    with translated_errors("tracker"):
        return stub.LocateQuery(tracker_pb2.LocateQueryRequest(job_id="job", query_json=query, camera_tracks=tracks))


def ranked(stub: TrackerStub, request: tracker_pb2.RankCandidatesRequest) -> tracker_pb2.RankCandidatesResponse:
    with translated_errors("tracker"):
        return stub.RankCandidates(request)


def test_a_person_is_tracked_located_and_found_again(stub: TrackerStub, reels: dict[str, Artifact]) -> None:
    *steps, last = tracked(stub, "cam1", reels["cam1"])
    assert all(step.progress.stage == common_pb2.STAGE_TRACK and step.progress.camera == "cam1" for step in steps)
    assert (last.result.track_count, last.result.frame_count, last.result.reused) == (1, 40, False)
    assert tracked(stub, "cam1", reels["cam1"])[-1].result.reused

    cameras = all_tracked(stub, reels)
    query = located(stub, cameras["cam1"], query_json())
    assert [(track.camera, track.track_id) for track in query.tracks] == [("cam1", 1)]
    assert query.iou > 0.6

    request = tracker_pb2.RankCandidatesRequest(
        job_id="job",
        query=query.query,
        cameras=cameras.values(),
        similarity_threshold=0.0,
        threshold_scale=common_pb2.SIMILARITY_SCALE_COSINE,
    )
    answer = ranked(stub, request)
    assert answer.compared == 2
    assert [candidate.track.camera for candidate in answer.candidates] == ["cam2", "cam2"]
    first, second = answer.candidates
    assert first.cosine > 0.97 > second.cosine
    assert first.time_gap_ns == 0
    assert [incident.code for incident in answer.incidents] == ["not_calibrated"]
    assert ranked(stub, request) == answer
    for uri in (first.query_crop_uri, first.candidate_crop_uri):
        assert uri.startswith(answer.scores.uri), "what people are shown is kept with the job"
        assert cv2.imread(uri.removeprefix("file://")) is not None

    request.round, request.rerank = 2, True
    in_context = ranked(stub, request)
    assert in_context.scores != answer.scores
    one, other = ({each.pair_id: each.cosine for each in given.candidates} for given in (in_context, answer))
    assert one == other


def test_mistakes_come_back_as_what_they_are(stub: TrackerStub, reels: dict[str, Artifact]) -> None:
    cameras = all_tracked(stub, reels)
    with pytest.raises(InvalidQuery, match="expected JSON"):
        located(stub, cameras["cam1"], "{")
    with pytest.raises(InvalidQuery, match="expected 'cam1'"):
        located(stub, cameras["cam1"], query_json(camera="cam2"))
    with pytest.raises(QueryNotLocated, match="no track of camera cam1 reaches"):
        located(stub, cameras["cam1"], query_json(row=7))
    mixed = tracker_pb2.CameraTracks(camera="cam1", tracks=cameras["cam2"].tracks, reel=cameras["cam2"].reel)
    with pytest.raises(InvalidInput, match="are of camera cam2, not cam1"):
        located(stub, mixed, query_json())

    query = located(stub, cameras["cam1"], query_json())
    with pytest.raises(FailedPrecondition, match="no calibration"):
        ranked(
            stub,
            tracker_pb2.RankCandidatesRequest(job_id="job", query=query.query, cameras=cameras.values()),
        )
    with pytest.raises(Conflict, match="has located another query"):
        located(stub, cameras["cam1"], query_json() + " ")


def identified(stub: TrackerStub, **request: object) -> list[tracker_pb2.IdentifyGloballyResponse]:
    with translated_errors("tracker"):
        return list(stub.IdentifyGlobally(tracker_pb2.IdentifyGloballyRequest(**request)))  # type: ignore[arg-type]


def test_everybody_is_identified_over_reels(
    stub: TrackerStub, reels: dict[str, Artifact], workspace: Workspace
) -> None:
    cameras = list(all_tracked(stub, reels).values())
    asked = {"cameras": cameras, "similarity_threshold": 0.97, "threshold_scale": common_pb2.SIMILARITY_SCALE_COSINE}
    *steps, last = identified(stub, request_id="all", **asked)
    assert all(step.progress.stage == common_pb2.STAGE_IDENTIFY for step in steps)
    artifact = workspace.get(last.identities.uri)
    with artifact.path("global_id_map.csv").open() as file:
        ids = {(line["video"], line["track_id"]): line["global_id"] for line in csv.DictReader(file)}
    assert len(ids) == 3
    assert len(set(ids.values())) == 2
    assert ids["cam1", "1"] in {ids["cam2", "1"], ids["cam2", "2"]}
    assert json.loads(artifact.path("reels.json").read_bytes())["cam1"]["tracks"] == cameras[0].tracks.uri
    assert json.loads(artifact.path("merged_analytics.json").read_bytes())["num_globals"] == 2
    assert "<svg" in artifact.path("report.html").read_text()
    assert [name for name in artifact.names() if name.startswith("galleries/global_000001/")]
    for again in ("all", "another name"):
        assert identified(stub, request_id=again, **asked)[-1] == last
    with pytest.raises(Conflict, match="request all has asked for other identities"):
        identified(stub, request_id="all", **asked | {"similarity_threshold": 0.9})


def test_wrong_requests_for_identities_are_named(stub: TrackerStub, reels: dict[str, Artifact]) -> None:
    cameras = list(all_tracked(stub, reels).values())
    for request, error, said in (
        ({"cameras": cameras}, InvalidInput, "request_id: is empty"),
        ({"request_id": "a"}, InvalidInput, "cameras: is empty"),
        ({"request_id": "a", "cameras": cameras * 2}, InvalidInput, "stand there twice"),
        ({"request_id": "a", "cameras": cameras, "similarity_threshold": 2}, InvalidInput, "give 0 to 1"),
        ({"request_id": "a", "cameras": cameras}, FailedPrecondition, "has no calibration"),
    ):
        with pytest.raises(error, match=said):
            identified(stub, **request)


def test_a_triton_that_is_down_at_the_start_is_waited_for(
    settings: TrackerSettings, tiny_repository: Path, reels: dict[str, Artifact], tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = settings.model_copy(update={"triton_target": f"127.0.0.1:{port}"})
    server = serve([build(settings)], settings)
    with connect(server.address, settings) as channel:
        reel = artifact_to_proto(reels["cam1"])
        call = TrackerStub(channel).Track(tracker_pb2.TrackRequest(job_id="job", reel=reel, camera="cam1"))
        with TritonServer(
            TritonSettings(model_repository=tiny_repository, log=tmp_path / "triton.log", grpc_port=port)
        ):
            assert list(call)[-1].result.track_count == 1
    server.stop()


def test_a_cancelled_call_stops_its_work(stub: TrackerStub, workspace: Workspace) -> None:
    reel = Recording((WANTED,), parts=((0.0, 60.0),)).publish(workspace, "cam1")
    call = stub.Track(
        tracker_pb2.TrackRequest(job_id="job", reel=artifact_to_proto(reel), camera="cam1", analysis_rate=15)
    )
    first = next(iter(call))
    call.cancel()
    assert first.progress.total > first.progress.done
    for thread in threading.enumerate():
        if thread.name == "work":
            thread.join(timeout=10)
            assert not thread.is_alive()
    assert not list((Path(workspace.uri.removeprefix("file://")) / "tracks").glob("[!.]*"))


def test_a_job_is_pinned_to_the_models_that_are_served(stub: TrackerStub, workspace: Workspace) -> None:
    models = {pin.name: pin.digest for pin in stub.PinModels(tracker_pb2.PinModelsRequest(job_id="job-1")).models}
    assert set(models) == {"detector", "reid"}
    assert json.loads(workspace.get("jobs/job-1/models").path("models.json").read_bytes()) == models
    with workspace.create("jobs/job-2/models") as place:
        (place / "models.json").write_text(json.dumps(dict.fromkeys(models, "0" * 64)))
    kept = stub.PinModels(tracker_pb2.PinModelsRequest(job_id="job-2")).models
    assert {pin.digest for pin in kept} == {"0" * 64}
    with pytest.raises(InvalidInput, match="job_id"), translated_errors("tracker"):
        stub.PinModels(tracker_pb2.PinModelsRequest())


def test_pinning_gives_a_triton_that_is_away_no_longer_than_its_caller_does(settings: TrackerSettings) -> None:
    away = settings.model_copy(update={"triton_target": "127.0.0.1:1"})
    server = serve([build(away)], away)
    with connect(server.address, away) as channel, pytest.raises((DeadlineExceeded, DependencyUnavailable)):  # noqa: SIM117
        with translated_errors("tracker"):
            TrackerStub(channel).PinModels(tracker_pb2.PinModelsRequest(job_id="job"), timeout=1)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < away.triton_patience_seconds / 2


def test_reflection_lists_the_service(channel: grpc.Channel) -> None:
    reflection = Reflection(channel)
    assert "throughline.v1.Tracker" in reflection.services()
    assert set(reflection.methods("throughline.v1.Tracker")) == {
        "PinModels",
        "Track",
        "LocateQuery",
        "RankCandidates",
        "MeasureClocks",
        "IdentifyGlobally",
    }
