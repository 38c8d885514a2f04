"""Queries as people write them are found among the tracks of a camera, or it is said why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.tracker.scenes import START, Camera, Walk, open_workspace, reference
from throughline.domain.errors import Conflict, FailedPrecondition, InvalidInput, InvalidQuery, QueryNotLocated
from throughline.domain.footage import Reel, ReelPart
from throughline.domain.geometry import Size
from throughline.domain.time import ClockMap, Instant, Interval
from throughline.storage import documents
from throughline.storage.workspace import Workspace
from throughline.tracker.artifacts import REEL_FILE, CameraTracks
from throughline.tracker.locate import LocatedQuery, LocateStage, read_query
from throughline.wire.query_document import parse_query

SIZE = Size(1280, 720)
REEL = Reel(
    "cam1",
    (
        ReelPart(
            file="part-000.mp4",
            epoch=START,
            span=Interval(START + -60 * 10**9, START + 660 * 10**9),
            codec="h264",
            size=SIZE,
            rotation_degrees=0,
            frame_count=7200,
        ),
    ),
    (),
    (),
)
WALKS = (Walk(1, 0, 10), Walk(2, 12, 30, left=900, speed=-20), Walk(7, 100, 110, left=20))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = open_workspace(tmp_path)
    with workspace.create("reels/cam1") as place:
        (place / REEL_FILE).write_bytes(documents.dump(REEL))
    return workspace


@pytest.fixture
def tracks(workspace: Workspace) -> CameraTracks:
    return Camera("cam1", WALKS).publish(workspace)


Locate = Callable[..., LocatedQuery]


@pytest.fixture
def located(workspace: Workspace, tracks: CameraTracks) -> Locate:
    def run(text: str, job: str = "job", min_iou: float = 0.3, among: CameraTracks = tracks) -> LocatedQuery:
        return LocateStage(workspace).run(job, text, among, "reels/cam1", min_iou)[1]

    return run


def written(walk: Walk, offset: float = 0.0, **changes: Any) -> str:
    """The walk as a query's JSON."""
    query = walk.query(offset=offset, every=5)
    observations = [
        {"time": str(Instant(time)), "box": [round(x, 2) for x in box]}
        for time, box in zip(query.times_ns.tolist(), query.boxes.tolist(), strict=True)
    ]
    document = {"camera": "cam1", "frame_size": {"width": 1280, "height": 720}, "observations": observations}
    return json.dumps(document | changes)


def test_the_query_is_found_and_kept_with_the_job(located: Locate, tracks: CameraTracks, workspace: Workspace) -> None:
    found = located(written(Walk(0, 1, 8, left=160), label="red coat"))
    assert found.tracks == (reference(tracks, WALKS[0]),)
    assert found.iou > 0.95
    assert (found.label, found.observation_count, found.incidents) == ("red coat", 15, ())
    artifact = workspace.get("jobs/job/query")
    assert artifact.names() == ["query.json"]
    assert json.loads(artifact.path("query.json").read_bytes())["tracks"][0]["track"]["number"] == 1


def test_spans_of_the_tracks_are_utc(located: Locate, tracks: CameraTracks) -> None:
    late = replace(tracks, clock=ClockMap(offset_ns=-5 * 10**9))
    found = located(written(WALKS[0]), among=late)
    assert found.tracks[0].span.start == START + -5 * 10**9
    assert found.camera_span.start == START, "the query itself stays in camera time"


def test_the_same_question_is_answered_from_what_was_kept_and_another_is_refused(located: Locate) -> None:
    first = located(written(WALKS[0]))
    assert located(written(WALKS[0])) == first
    with pytest.raises(Conflict, match="job job has located another query already"):
        located(written(WALKS[1]))
    assert located(written(WALKS[1]), job="another").tracks[0].track.number == 2


def test_boxes_of_another_frame_size_are_scaled(located: Locate) -> None:
    query = json.loads(written(WALKS[0], frame_size={"width": 640, "height": 360}))
    for observation in query["observations"]:
        observation["box"] = [side / 2 for side in observation["box"]]
    assert located(json.dumps(query)).iou > 0.99


def test_a_miss_names_the_best_tracks_and_their_iou(located: Locate) -> None:
    with pytest.raises(QueryNotLocated) as error:
        located(written(Walk(0, 0, 10, left=140, top=300)))
    assert "no track of camera cam1 reaches IoU 0.3" in str(error.value)
    assert "the best are track 1 with IoU 0." in str(error.value)
    assert "No clock offset up to 600 s explains it" in str(error.value)


def test_where_nothing_touches_the_query_that_is_said(located: Locate) -> None:
    with pytest.raises(QueryNotLocated, match="no track touches it"):
        located(written(Walk(0, 40, 50, left=100, top=10)))


@pytest.mark.parametrize(("offset", "stated"), [(37.3, "-37.3"), (-24.0, "+24.0")])
def test_a_miss_says_which_clock_offset_would_explain_it(located: Locate, offset: float, stated: str) -> None:
    walk = Walk(2, 12, 30, left=900, speed=-20)
    with pytest.raises(QueryNotLocated) as error:
        located(written(walk, offset=offset))
    assert f"with {stated}" in str(error.value)
    assert "track 2 reaches IoU 0.9" in str(error.value) or "track 2 reaches IoU 1.0" in str(error.value)


def test_a_doubtful_hit_warns_of_a_likely_clock_offset(located: Locate) -> None:
    found = located(written(WALKS[0], offset=0.5))
    assert 0.3 < found.iou < 0.6
    [incident] = found.incidents
    assert (incident.code, incident.camera) == ("clock_offset_likely", "cam1")
    assert "with -0.5" in incident.message


MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"camera": "cam9"}, "camera", "expected 'cam1'"),
    ({"observations": [{"time": "2026-03-01T12:00:00Z", "box": [0, 0, 9, 9]}]}, "observations[0].time", "10:11:00"),
    ({"observations": [{"time": "2026-03-01T09:00:00Z", "box": [0, 0, 9, 9]}]}, "observations[0].time", "09:59:00"),
    ({"observations": [{"chunk": "no.mp4", "frame": 3, "box": [0, 0, 9, 9]}]}, "observations[0]", "no such chunk"),
    ({"observations": []}, "observations", "at least 1"),
]


@pytest.mark.parametrize(("changes", "path", "message"), MISTAKES, ids=[f"{each[1]}: {each[2]}" for each in MISTAKES])
def test_a_mistake_is_answered_by_its_path(located: Locate, changes: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(InvalidQuery) as error:
        located(written(WALKS[0], **changes))
    assert error.value.path == path
    assert message in str(error.value)


def test_min_iou_must_lie_between_0_and_1(located: Locate) -> None:
    with pytest.raises(InvalidInput, match=r"min_iou 1\.5"):
        located(written(WALKS[0]), min_iou=1.5)


def test_a_camera_without_footage_is_said_to_be_so() -> None:
    with pytest.raises(FailedPrecondition, match="cam1 has no usable footage"):
        read_query(parse_query(written(WALKS[0])), Reel("cam1", (), (), ()), lambda _chunk, _frame: START)


def test_chunk_and_frame_are_resolved_by_the_reel() -> None:
    document = parse_query(written(WALKS[0], observations=[{"chunk": "a.mp4", "frame": 3, "box": [0, 0, 9, 9]}]))
    query = read_query(document, REEL, lambda chunk, frame: START + frame * 10**9 if chunk == "a.mp4" else START)
    assert query.times_ns.tolist() == [START.ns + 3 * 10**9]
