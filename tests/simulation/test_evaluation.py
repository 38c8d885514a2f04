"""A finished job in a workspace, evaluated against a tiny store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from throughline.domain.geometry import Size
from throughline.domain.pairs import TrackId
from throughline.domain.time import NS_PER_SECOND, Instant, Interval
from throughline.domain.tracks import TrackTable
from throughline.renderer.documents import FilmSegment, FilmTile, TimelineDocument
from throughline.renderer.layout import Rectangle
from throughline.simulation.evaluation import evaluate
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.truth import StoreTruth, TrueCamera, TruthDocument, TruthTable
from throughline.storage.columns import TableWriter
from throughline.storage.documents import dump
from throughline.storage.objects import ObjectSettings, open_objects
from throughline.storage.tables import write_tracks
from throughline.storage.workspace import Workspace
from throughline.tracker.match import Outcome
from throughline.tracker.rank import SCORES
from throughline.v1.common_pb2 import VERDICT_VALID, TrackRef
from throughline.v1.common_pb2 import Interval as IntervalMessage
from throughline.v1.orchestrator_pb2 import CandidateState, Job, TimelineResult

FRAMES, FRAME_NS, OFFSET_NS = 20, NS_PER_SECOND // 10, NS_PER_SECOND
LEFTS = {"ada": 0.0, "bob": 300.0}
TRACK_NAMES = {"a": ("ada",), "b": ("ada", "bob")}
"""Our tracks, numbered from 1: each follows one person. Camera a's only one is the query."""
SPAN = Interval(Instant(OFFSET_NS), Instant(OFFSET_NS + (FRAMES - 1) * FRAME_NS))
TIMES = np.arange(FRAMES, dtype=np.int64) * FRAME_NS


def _boxes(left: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.tile(np.array([left, 0, left + 50, 100], np.float32), (FRAMES, 1))


def _store(folder: Path) -> StoreTruth:
    """Ada and Bob stand before both cameras, whose clocks are a second slow, for two seconds."""
    bodies = [(camera, name) for camera in TRACK_NAMES for name in LEFTS]
    table = TruthTable(
        camera=np.repeat([camera for camera, _ in bodies], FRAMES),
        camera_time_ns=np.tile(TIMES, len(bodies)),
        utc_ns=np.tile(TIMES + OFFSET_NS, len(bodies)),
        name=np.repeat([name for _, name in bodies], FRAMES),
        kind=np.full(len(bodies) * FRAMES, "person"),
        boxes=np.concatenate([_boxes(LEFTS[name]) for _, name in bodies]),
        visibility=np.ones(len(bodies) * FRAMES, np.float32),
    )
    cameras = tuple(
        TrueCamera(name=name, clock_offset_ns=OFFSET_NS, first_frame=Instant(0), frames=FRAMES, chunks=())
        for name in TRACK_NAMES
    )
    document = TruthDocument(settings=SimulationSettings(), cameras=cameras, people=tuple(LEFTS), queries=())
    return StoreTruth(folder, document, table)


def _write_stages(workspace: Workspace) -> None:
    for camera, names in TRACK_NAMES.items():
        ids = np.repeat(np.arange(1, len(names) + 1), FRAMES)
        boxes = np.concatenate([_boxes(LEFTS[name]) for name in names])
        with workspace.create(f"tracks/key-{camera}") as folder:
            scores = np.ones(len(ids), np.float32)
            write_tracks(folder / "tracks.parquet", TrackTable(ids, np.tile(TIMES, len(names)), boxes, scores))
    rows = [("a", 1, 1.0, Outcome.QUERY), ("b", 1, 0.9, Outcome.CANDIDATE), ("b", 2, 0.1, Outcome.BELOW_THRESHOLD)]
    with workspace.create("jobs/job-1/scores/1") as folder, TableWriter(folder / "scores.parquet", SCORES) as writer:
        for camera, number, cosine, outcome in rows:
            span = (SPAN.start.ns, SPAN.end.ns)
            values = (
                0,
                camera,
                f"key-{camera}",
                number,
                *span,
                FRAMES,
                cosine,
                cosine,
                cosine,
                0,
                outcome.value,
                cosine,
                1.0,
                "",
            )
            writer.write(*([value] for value in values))


def _write_film(workspace: Workspace, *cameras: str) -> None:
    tiles = tuple(
        FilmTile(camera, (TrackId(camera, f"key-{camera}", 1),), SPAN, SPAN, Rectangle(0, 0, 640, 360))
        for camera in cameras
    )
    segments = (FilmSegment(0, SPAN.duration_ns, SPAN, tiles, ()),)
    document = TimelineDocument("job-1", 1, "", "film.mp4", Size(640, 360), SPAN.duration_ns, segments, (), ())
    with workspace.create("jobs/job-1/timelines/1") as folder:
        (folder / "timeline.json").write_bytes(dump(document))


def _track(camera: str) -> TrackRef:
    span = IntervalMessage(start_ns=SPAN.start.ns, end_ns=SPAN.end.ns)
    return TrackRef(camera=camera, track_id=1, span=span, tracks_key=f"key-{camera}")


JOB = Job(
    job_id="job-1",
    query_tracks=[_track("a")],
    candidates=[CandidateState(pair_id="p", track=_track("b"), verdict=VERDICT_VALID, rank=1)],
    timeline=TimelineResult(revision=1),
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    uri = f"file://{tmp_path / 'workspace'}/"
    made = Workspace(uri, open_objects(ObjectSettings(allowed_roots=(tmp_path,))), tmp_path / "cache")
    _write_stages(made)
    return made


def test_a_perfect_job_has_perfect_scores(workspace: Workspace, tmp_path: Path) -> None:
    _write_film(workspace, "a", "b")
    found = evaluate(workspace, JOB, _store(tmp_path), "ada")
    assert found.located
    assert (found.retrieval.recall, found.retrieval.precision, found.retrieval.auc) == (1.0, 1.0, 1.0)
    assert (found.retrieval.true, found.film.right_share, found.film.edges_within()) == (1, 1.0, 1.0)


def test_a_film_without_one_of_two_cameras_is_never_right(workspace: Workspace, tmp_path: Path) -> None:
    _write_film(workspace, "a")
    assert evaluate(workspace, JOB, _store(tmp_path), "ada").film.right_share == 0.0


def test_the_same_job_is_wrong_about_somebody_else(workspace: Workspace, tmp_path: Path) -> None:
    _write_film(workspace, "a", "b")
    found = evaluate(workspace, JOB, _store(tmp_path), "bob")
    assert not found.located
    assert (found.retrieval.missed, found.retrieval.precision) == ((("b", 2),), 0.0)
