"""Painted people become tracks, through a real Triton; what was computed once is not computed again."""

from __future__ import annotations

import csv
import re
import shutil
from concurrent.futures import Future
from itertools import accumulate, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.tracker.footage import BLUE, Painted, Recording, moment
from tests.tracker.scenes import SECOND
from throughline.domain.errors import Cancelled, DependencyUnavailable, FailedPrecondition, InvalidInput, NotFound
from throughline.domain.footage import Reel
from throughline.domain.time import Instant, Interval
from throughline.domain.tracks import TrackTable
from throughline.domain.work import Step, Work
from throughline.perception.triton.client import DETECTOR, REID, InferenceClient
from throughline.storage import documents
from throughline.storage.pictures import PICTURES_FILE, StoredPicture
from throughline.storage.tables import artifact_embeddings, read_tracks
from throughline.storage.workspace import Workspace
from throughline.tracker.artifacts import REEL_FILE
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import EVERYWHERE, TrackedReel, TrackStage, Where

FIRST = Painted(0.5, 3.5, column=1, row=2)
SECOND_ONE = Painted(1.5, 4.0, column=1, row=5, upper=(70, 0, 0), lower=(70, 70, 70))
TROLLEY = Painted(0.0, 4.0, column=7, row=6, block=BLUE, cell_seconds=9)


def tables(tracked: TrackedReel) -> TrackTable:
    return read_tracks(tracked.artifact.path("tracks.parquet"))


def run(stage: TrackStage, camera: str = "cam1", rate: float = 10.0, window: Interval | None = None) -> TrackedReel:
    return stage.run(f"reels/{camera}", camera, rate, Where(window), Work())


def seconds(table: TrackTable) -> dict[int, tuple[float, float]]:
    """First and last box of each track, in seconds of the recording."""
    spans = {track.track_id: track.span for track in table.tracks()}
    zero = moment(0)
    return {
        number: (round((span.start - zero) / SECOND, 2), round((span.end - zero) / SECOND, 2))
        for number, span in spans.items()
    }


def test_people_become_tracks_and_trolleys_do_not(workspace: Workspace, stage: TrackStage) -> None:
    Recording((FIRST, SECOND_ONE, TROLLEY)).publish(workspace, "cam1")
    tracked = run(stage)
    table = tables(tracked)
    spans = seconds(table)
    assert list(spans) == [1, 2]
    np.testing.assert_allclose(spans[1], (0.5, 3.5), atol=0.15)
    np.testing.assert_allclose(spans[2], (1.5, 4.0), atol=0.15)
    assert all(len(track.times_ns) >= 20 for track in table.tracks())
    box = table.track(1).boxes[0]
    assert np.abs(box - [0, 0, 96, 176]).max() < 4, "96 x 192 around the block, cut to the frame"


def test_the_time_of_a_box_is_the_frames_own(workspace: Workspace, stage: TrackStage) -> None:
    Recording((FIRST,)).publish(workspace, "cam1")
    times = np.unique(tables(run(stage)).times_ns)
    frames = (times - moment(0).ns) * 15 / SECOND
    assert np.abs(frames - frames.round()).max() < 1e-3
    assert set((frames.round().astype(int) % 3).tolist()) == {0, 2}, "two of three frames at 10 of 15 frames/s"


def test_what_the_artifact_holds(workspace: Workspace, stage: TrackStage) -> None:
    Recording((FIRST, SECOND_ONE)).publish(workspace, "cam1")
    tracked = run(stage)
    summary, artifact = tracked.summary, tracked.artifact
    assert set(artifact.names()) == {
        "crops.mjpeg",
        "people.parquet",
        "tracks.parquet",
        "tracks.csv",
        "summary.json",
        "embeddings.npy",
        "embeddings.parquet",
        "clear.npy",
        "lineage.json",
    }
    embeddings = artifact_embeddings(artifact)
    assert embeddings.vectors.shape == (summary.crop_count, 6)
    np.testing.assert_allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, atol=1e-5)
    assert len(set(embeddings.crops)) == summary.crop_count
    assert set(embeddings.track_ids.tolist()) == {1, 2}
    for name, quality in zip(embeddings.crops, embeddings.qualities.tolist(), strict=True):
        picture = cv2.imdecode(np.frombuffer(StoredPicture(artifact, name).read(), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert quality > 0
    rows = list(csv.DictReader(artifact.path("tracks.csv").open()))
    assert [row["track_id"] for row in rows] == ["1", "2"]
    assert Instant.parse(rows[0]["first_seen"]) == Instant(int(tables(tracked).track(1).times_ns[0]))
    assert rows[0]["best_crop"] in embeddings.crops
    table = tables(tracked)
    assert (summary.track_count, summary.box_count, summary.frame_count) == (2, len(table.times_ns), 40)
    assert summary.incidents == ()


def test_descriptors_tell_people_apart(workspace: Workspace, stage: TrackStage) -> None:
    Recording((FIRST, SECOND_ONE)).publish(workspace, "cam1")
    artifact = run(stage).artifact
    _, (first, second) = artifact_embeddings(artifact).descriptors()
    assert first @ second < 0.9


def test_crops_know_whether_they_are_clear_however_they_were_cut(
    workspace: Workspace, tiny_client: InferenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With frames at hand, and in a pass of its own over a reel whose detections are known."""
    Recording((FIRST,)).publish(workspace, "cam1")
    looked: list[int] = []

    def worse_and_worse(boxes: np.ndarray, *_: object) -> np.ndarray:
        looked.append(len(boxes))
        return np.full(len(boxes), 0.9 if sum(map(bool, looked)) <= 10 else 0.1, np.float32)

    monkeypatch.setattr("throughline.tracker.record.qualities", worse_and_worse)
    for crops_per_track in (12, 11):
        looked.clear()
        stage = TrackStage(workspace, tiny_client, TrackerSettings(crops_per_track=crops_per_track))
        tracked = run(stage)
        found = artifact_embeddings(tracked.artifact)
        first_second = found.times_ns < tables(tracked).track(1).times_ns[10]
        assert found.clear.tolist() == first_second.tolist()
        assert 0 < found.clear.sum() < len(found.clear)


class Spoilt:
    """Futures of a ReID model that gives `vector` instead of every `every`th descriptor."""

    def __init__(self, client: InferenceClient, vector: np.ndarray, every: int) -> None:
        self._embed, self._vector, self._every, self._count = client.embed, vector.astype(np.float32), every, 0

    def __call__(self, crops: np.ndarray, model: str = REID) -> Future[np.ndarray]:
        vectors = self._embed(crops, model).result().copy()
        numbers = self._count + 1 + np.arange(len(crops))
        vectors[numbers % self._every == 0] = self._vector
        self._count += len(crops)
        spoilt: Future[np.ndarray] = Future()
        spoilt.set_result(vectors)
        return spoilt


@pytest.mark.parametrize("vector", [np.full(6, np.nan), np.zeros(6)])
def test_crops_that_the_model_cannot_describe_are_left_out_and_counted(
    workspace: Workspace,
    stage: TrackStage,
    tiny_client: InferenceClient,
    monkeypatch: pytest.MonkeyPatch,
    vector: np.ndarray,
) -> None:
    Recording((FIRST, SECOND_ONE)).publish(workspace, "cam1")
    monkeypatch.setattr(tiny_client, "embed", Spoilt(tiny_client, vector, every=3))
    tracked = run(stage)
    embeddings = artifact_embeddings(tracked.artifact)
    np.testing.assert_allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, atol=1e-5)
    sizes = sorted(tuple(map(int, name.partition("#")[2].split("+"))) for name in embeddings.crops)
    assert [first for first, _ in sizes] == [0, *accumulate(count for _, count in sizes)][:-1], "one after the other"
    assert tracked.artifact.path(PICTURES_FILE).stat().st_size == sum(count for _, count in sizes)
    (incident,) = tracked.summary.incidents
    assert (incident.code, incident.camera) == ("crops_not_described", "cam1")
    undescribed, whole = map(int, re.findall(r"\d+", incident.message)[:2])
    assert (undescribed, whole - undescribed) == (whole // 3, tracked.summary.crop_count)


def test_a_model_that_describes_nothing_is_an_error(
    workspace: Workspace, stage: TrackStage, tiny_client: InferenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    Recording((FIRST,)).publish(workspace, "cam1")
    monkeypatch.setattr(tiny_client, "embed", Spoilt(tiny_client, np.full(6, np.nan), every=1))
    with pytest.raises(FailedPrecondition, match=r"describes none of \d+ crops"):
        run(stage)


def test_the_same_request_finds_its_tracks_ready(workspace: Workspace, stage: TrackStage) -> None:
    Recording((FIRST,)).publish(workspace, "cam1")
    first, again = run(stage), run(stage)
    assert (first.reused, again.reused) == (False, True)
    assert first.artifact.uri == again.artifact.uri
    assert run(stage, rate=5.0).artifact.uri != first.artifact.uri


def test_detections_are_kept_by_chunk_and_a_longer_window_computes_only_its_new_part(
    workspace: Workspace, stage: TrackStage, tiny_client: InferenceClient
) -> None:
    Recording((FIRST,), parts=((0.0, 6.0),)).publish(workspace, "cam1")
    counts = []
    for end in (2.0, 6.0):
        before = tiny_client.statistics(DETECTOR).inference_count
        run(stage, window=Interval(moment(0), moment(end)))
        counts.append(tiny_client.statistics(DETECTOR).inference_count - before)
    assert counts == [20, 40]


def test_windows_do_not_change_the_tracks_within(workspace: Workspace, stage: TrackStage) -> None:
    Recording((FIRST,)).publish(workspace, "cam1")
    whole = tables(run(stage))
    part = tables(run(stage, window=Interval(moment(1.0), moment(3.0))))
    kept = (whole.times_ns >= moment(1.0).ns) & (whole.times_ns < moment(3.0).ns)
    np.testing.assert_array_equal(part.times_ns, whole.times_ns[kept])
    np.testing.assert_array_equal(part.boxes, whole.boxes[kept])


def test_only_the_spans_that_are_asked_for_are_looked_at_and_kept(workspace: Workspace, stage: TrackStage) -> None:
    Recording((FIRST,)).publish(workspace, "cam1")
    spans = (Interval(moment(1.0), moment(2.0)), Interval(moment(2.5), moment(3.0)))
    tracked = stage.run("reels/cam1", "cam1", 10.0, Where(spans=spans), Work())
    table = tables(tracked)
    assert len(table)
    assert all(any(Instant(time) in span for span in spans) for time in table.times_ns.tolist())
    assert tracked.summary.spans == spans
    assert tracked.summary.frame_count == 15
    again = stage.run("reels/cam1", "cam1", 10.0, Where(spans=spans[:1]), Work())
    assert again.artifact.key != tracked.artifact.key
    with pytest.raises(InvalidInput, match="apart from each other"):
        Where(spans=spans[::-1])


def test_chunks_make_no_difference_to_the_tracks(workspace: Workspace, stage: TrackStage) -> None:
    people = (FIRST, SECOND_ONE)
    Recording(people, chunk_seconds=1.3).publish(workspace, "cam1")
    Recording(people, chunk_seconds=4.0).publish(workspace, "cam2")
    many, one = tables(run(stage, "cam1")), tables(run(stage, "cam2"))
    for name in ("track_ids", "times_ns", "boxes", "scores"):
        np.testing.assert_array_equal(getattr(many, name), getattr(one, name))


def test_parts_make_no_difference_to_the_tracks(workspace: Workspace, stage: TrackStage) -> None:
    people = (FIRST, SECOND_ONE)
    Recording(people, chunk_seconds=4.0).publish(workspace, "cam1")
    ends = (0.0, 0.4, 1.2, 1.4, 2.2, 2.4, 3.0, 4.0)
    Recording(people, parts=list(pairwise(ends)), chunk_seconds=4.0).publish(workspace, "cam2")
    one, many = seconds(tables(run(stage, "cam1"))), seconds(tables(run(stage, "cam2")))
    assert list(one) == list(many)
    for (
        number,
        span,
    ) in one.items():  # the first frame of a part is always looked at, so a track may begin a frame earlier
        assert many[number] == pytest.approx(span, abs=0.1)


def test_long_chunks_are_kept_in_pieces(workspace: Workspace, tiny_client: InferenceClient, tmp_path: Path) -> None:
    Recording((FIRST,), chunk_seconds=4.0).publish(workspace, "cam1")
    keys = []
    for skips, seconds in ((False, 1.0), (False, 300.0), (True, 1.0), (True, 300.0)):
        settings = TrackerSettings(piece_seconds=seconds, skip_quiet=skips)
        keys.append(run(TrackStage(workspace, tiny_client, settings)).artifact.key)
        if len(keys) == 1:
            assert len(list((tmp_path / "workspace" / "detections").iterdir())) == 4
        shutil.rmtree(tmp_path / "workspace" / "tracks")
    assert keys[0] == keys[1], "a setting that changes no track is not in the key"
    assert keys[2] != keys[3], "what is skipped depends on the pieces"


def test_a_person_who_stays_over_a_gap_is_two_tracks(workspace: Workspace, stage: TrackStage) -> None:
    stays = Painted(0.0, 9.0, column=3, cell_seconds=99)
    Recording((stays,), parts=((0.0, 2.0), (5.0, 7.0))).publish(workspace, "cam1")
    spans = seconds(tables(run(stage)))
    assert list(spans) == [1, 2]
    assert spans[1][1] < 2.0
    assert spans[2][0] >= 5.0


def test_progress_ends_at_its_total(workspace: Workspace, stage: TrackStage) -> None:
    Recording((FIRST,)).publish(workspace, "cam1")
    steps: list[Step] = []
    stage.run("reels/cam1", "cam1", 10.0, EVERYWHERE, Work(on_step=steps.append))
    frames = [step for step in steps if step.unit == "frames"]
    assert {step.total for step in frames} == {40}
    assert [step.done for step in frames] == sorted(step.done for step in frames)
    assert frames[-1].done == 40
    assert steps[-1].unit == "crops"
    assert steps[-1].done == steps[-1].total


def test_a_cancelled_run_keeps_whole_chunks_and_no_tracks(
    workspace: Workspace, stage: TrackStage, tmp_path: Path
) -> None:
    Recording((FIRST,)).publish(workspace, "cam1")
    work = Work()
    work.on_step = lambda step: work.cancel() if step.done == 30 else None
    with pytest.raises(Cancelled):
        stage.run("reels/cam1", "cam1", 10.0, EVERYWHERE, work)
    published = [path for path in (tmp_path / "workspace").glob("*/*") if not path.name.startswith(".")]
    assert sorted(path.parent.name for path in published) == ["detections", "reels"]


def test_a_reel_without_footage_has_no_tracks(workspace: Workspace, stage: TrackStage) -> None:
    with workspace.create("reels/cam1") as place:
        (place / REEL_FILE).write_bytes(documents.dump(Reel("cam1", (), (), ())))
    tracked = run(stage)
    assert (tracked.summary.track_count, tracked.summary.frame_count) == (0, 0)
    assert len(tables(tracked)) == 0
    assert artifact_embeddings(tracked.artifact).vectors.shape == (0, 6)


@pytest.mark.parametrize("rate", [0.0, -1.0, 61.0, float("nan")])
def test_an_impossible_rate_is_refused(stage: TrackStage, rate: float) -> None:
    with pytest.raises(InvalidInput, match="analysis rate"):
        run(stage, rate=rate)


def test_another_cameras_reel_is_refused(workspace: Workspace, stage: TrackStage) -> None:
    Recording((), parts=((0.0, 0.5),)).publish(workspace, "cam1")
    with pytest.raises(InvalidInput, match="is of camera cam1, not cam2"):
        stage.run("reels/cam1", "cam2", 10.0, EVERYWHERE, Work())
    with pytest.raises(NotFound, match="reels/cam9"):
        run(stage, "cam9")


def test_while_triton_is_away_the_error_says_so_and_a_retry_can_help(workspace: Workspace) -> None:
    Recording((FIRST,)).publish(workspace, "cam1")
    with InferenceClient("127.0.0.1:9", patience_seconds=0.2) as client:
        stage = TrackStage(workspace, client, TrackerSettings())
        with pytest.raises(DependencyUnavailable, match=r"127\.0\.0\.1:9") as error:
            run(stage)
    assert error.value.retryable


def test_crops_reach_the_model_in_batches(
    workspace: Workspace, stage: TrackStage, tiny_client: InferenceClient
) -> None:
    Recording((FIRST, SECOND_ONE)).publish(workspace, "cam1")
    before = tiny_client.statistics(REID)
    tracked = run(stage)
    after = tiny_client.statistics(REID)
    assert after.inference_count - before.inference_count == tracked.summary.crop_count
    assert after.execution_count - before.execution_count <= tracked.summary.crop_count / 1.5
