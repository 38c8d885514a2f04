"""Tables come back as they were written, whatever is in them, and a file of something else is refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.storage.places import Workshop
from throughline.domain.errors import CorruptArtifact, NotFound
from throughline.domain.geometry import Size
from throughline.domain.time import Instant, Interval
from throughline.domain.tracks import TrackEmbeddings, TrackTable
from throughline.storage import columns, tables
from throughline.storage.detections import DetectionWriter, FrameDetections, read_detections
from throughline.storage.tables import (
    CropRow,
    EmbeddingWriter,
    TrackWriter,
    artifact_embeddings,
    read_embeddings,
    read_track_extents,
    read_tracks,
    write_tracks,
)
from throughline.storage.workspace import Workspace

on_files = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
moments = st.integers(-(2**62), 2**62)
seeds = st.integers(0, 2**32 - 1)


def some_tracks(keys: set[tuple[int, int]], seed: int) -> TrackTable:
    random = np.random.default_rng(seed)
    rows = np.array(sorted(keys), np.int64).reshape(-1, 2)
    boxes = random.normal(0, 1000, (len(rows), 4)).astype(np.float32)
    return TrackTable(rows[:, 0], rows[:, 1], boxes, random.random(len(rows), np.float32))


def assert_same(found: TrackTable, expected: TrackTable) -> None:
    for name in ("track_ids", "times_ns", "boxes", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@on_files
@given(st.sets(st.tuples(st.integers(1, 9), moments), max_size=40), seeds)
def test_tracks_come_back_to_the_last_bit(tmp_path: Path, keys: set[tuple[int, int]], seed: int) -> None:
    tracks = some_tracks(keys, seed)
    write_tracks(tmp_path / "tracks.parquet", tracks)
    assert_same(read_tracks(tmp_path / "tracks.parquet"), tracks)


def test_some_tracks_or_a_span_are_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "tracks.parquet"
    write_tracks(path, some_tracks({(track, time) for track in (1, 2, 3) for time in (10, 20, 30)}, seed=0))
    assert read_tracks(path, track_ids=[3, 1]).ids.tolist() == [1, 3]
    assert read_tracks(path, span=Interval(Instant(10), Instant(30))).times_ns.tolist() == [10, 20] * 3
    assert len(read_tracks(path, track_ids=[2], span=Interval(Instant(40), Instant(50)))) == 0


def test_extents_tell_when_each_track_was_seen(tmp_path: Path) -> None:
    path = tmp_path / "tracks.parquet"
    write_tracks(path, some_tracks({(1, 30), (1, 10), (4, 20)}, seed=0))
    extents = read_track_extents(path)
    assert extents.ids.tolist() == [1, 4]
    assert extents.starts_ns.tolist() == [10, 20]
    assert extents.ends_ns.tolist() == [30, 20]
    assert extents.box_counts.tolist() == [2, 1]


def test_rows_are_written_in_groups_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "ROW_GROUP", 4)
    path = tmp_path / "tracks.parquet"
    with TrackWriter(path) as writer:
        for time in range(5):
            two = np.array([1, 2])
            writer.write_boxes(two, two * 0 + time, np.ones((2, 4), np.float32), np.ones(2, np.float32))
    assert [pq.ParquetFile(path).metadata.row_group(group).num_rows for group in range(3)] == [4, 4, 2]
    assert writer.rows == 10


@on_files
@given(st.lists(st.integers(0, 4), max_size=30), seeds)
def test_detections_come_back_frame_by_frame_empty_ones_too(tmp_path: Path, counts: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    frames = [
        FrameDetections(
            1_000 * index,
            random.normal(0, 500, (count, 4)).astype(np.float32),
            random.random(count, np.float32),
            random.integers(0, 80, count, np.int32),
        )
        for index, count in enumerate(counts)
    ]
    path = tmp_path / "detections.parquet"
    with DetectionWriter(path, Size(1280, 720)) as writer:
        for frame in frames:
            writer.write_frame(frame)
    size, found = read_detections(path)
    back = list(found)
    assert size == Size(1280, 720)
    assert writer.frames == len(frames)
    assert [frame.time_ns for frame in back] == [frame.time_ns for frame in frames]
    for left, right in zip(back, frames, strict=True):
        np.testing.assert_array_equal(left.boxes, right.boxes)
        np.testing.assert_array_equal(left.scores, right.scores)
        np.testing.assert_array_equal(left.class_ids, right.class_ids)


def test_a_frame_across_two_row_groups_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("throughline.storage.detections.ROW_GROUP", 4)
    three = FrameDetections(0, np.ones((3, 4), np.float32), np.ones(3, np.float32), np.zeros(3, np.int32))
    path = tmp_path / "detections.parquet"
    with DetectionWriter(path, Size(2, 2)) as writer:
        for time in range(5):
            writer.write_frame(FrameDetections(time, three.boxes, three.scores, three.class_ids))
    assert [(frame.time_ns, len(frame.scores)) for frame in read_detections(path)[1]] == [(t, 3) for t in range(5)]


@on_files
@given(st.sets(st.tuples(st.integers(1, 9), moments), max_size=40), st.integers(1, 8), seeds)
def test_embeddings_come_back_in_order_of_track_and_time(
    tmp_path: Path, keys: set[tuple[int, int]], dimension: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    rows = np.array(sorted(keys), np.int64).reshape(-1, 2)
    count = len(rows)
    vectors = random.normal(size=(count, dimension)).astype(np.float32)
    crops = tuple(f"crops/{row}.jpg" for row in range(count))
    qualities, clear = random.random(count, np.float32), random.random(count) < 0.5
    embeddings = TrackEmbeddings(vectors, rows[:, 0], rows[:, 1], qualities, clear, crops)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_BLOCK", 7)
        with EmbeddingWriter(tmp_path, dimension) as writer:
            for row in random.permutation(count).tolist():
                number, time_ns = rows[row].tolist()
                crop = CropRow(number, time_ns, float(qualities[row]), crops[row], bool(clear[row]))
                writer.add(crop, vectors[row])
    found = read_embeddings(tmp_path)
    for name in ("vectors", "track_ids", "times_ns", "qualities", "clear"):
        np.testing.assert_array_equal(getattr(found, name), getattr(embeddings, name))
    assert found.crops == crops
    assert found.vectors.shape == (count, dimension)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clear.npy", "embeddings.npy", "embeddings.parquet"]


def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    tracks, other = tmp_path / "tracks.parquet", tmp_path / "noise.parquet"
    write_tracks(tracks, some_tracks({(1, 1)}, seed=0))
    other.write_bytes(b"not a table")
    with pytest.raises(CorruptArtifact, match=r"noise\.parquet cannot be read"):
        read_tracks(other)
    with pytest.raises(CorruptArtifact, match=r"tracks\.parquet cannot be read as detections"):
        read_detections(tracks)
    (tmp_path / "embeddings.parquet").write_bytes(tracks.read_bytes())
    with pytest.raises(CorruptArtifact, match=r"embeddings\.parquet has columns|cannot be read"):
        read_embeddings(tmp_path)


@on_files
@given(data=st.data())
def test_broken_tables_are_called_corrupt(tmp_path: Path, data: st.DataObject) -> None:
    write_tracks(tmp_path / "tracks.parquet", some_tracks({(1, 1)}, seed=0))
    with EmbeddingWriter(tmp_path, 4) as writer:
        writer.add(CropRow(1, 1, 1.0, "crops/1.jpg", True), np.ones(4, np.float32))
    path = tmp_path / data.draw(
        st.sampled_from(["tracks.parquet", "clear.npy", "embeddings.npy", "embeddings.parquet"])
    )
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(CorruptArtifact):
        read_tracks(tmp_path / "tracks.parquet")
        read_embeddings(tmp_path)


def test_in_tables_from_before_crops_were_told_apart_all_are_clear(tmp_path: Path) -> None:
    with EmbeddingWriter(tmp_path, 4) as writer:
        writer.add(CropRow(1, 1, 1.0, "crops/1.jpg", False), np.ones(4, np.float32))
    assert read_embeddings(tmp_path).clear.tolist() == [False]
    (tmp_path / "clear.npy").unlink()
    assert read_embeddings(tmp_path).clear.tolist() == [True]


@pytest.mark.parametrize("clear", [np.ones(2, bool), np.ones(1, np.int8), np.array(True)])
def test_what_does_not_say_of_every_crop_whether_it_is_clear_is_corrupt(tmp_path: Path, clear: np.ndarray) -> None:
    with EmbeddingWriter(tmp_path, 4) as writer:
        writer.add(CropRow(1, 1, 1.0, "crops/1.jpg", False), np.ones(4, np.float32))
    np.save(tmp_path / "clear.npy", clear)
    with pytest.raises(CorruptArtifact, match=r"clear\.npy"):
        read_embeddings(tmp_path)


def test_which_crops_are_clear_is_known_on_every_machine(workshop: Workshop, tmp_path: Path) -> None:
    with workshop.workspace.create("tracks/one") as folder, EmbeddingWriter(folder, 4) as writer:
        writer.add(CropRow(1, 1, 0.2, "crops/1.jpg", False), np.ones(4, np.float32))
        writer.add(CropRow(1, 2, 0.9, "crops/2.jpg", True), np.ones(4, np.float32))
    elsewhere = Workspace(workshop.place.uri, workshop.place.objects, tmp_path / "another cache")
    assert artifact_embeddings(elsewhere.get("tracks/one")).clear.tolist() == [False, True]


def test_tracks_without_their_embeddings_are_named(workshop: Workshop) -> None:
    with workshop.workspace.create("tracks/one") as folder:
        (folder / "clear.npy").write_bytes(b"")
    with pytest.raises(NotFound, match=r"tracks/one/ has no 'embeddings\.npy'"):
        artifact_embeddings(workshop.workspace.get("tracks/one"))


def test_an_embedding_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptArtifact, match=r"shape \(3,\)"), EmbeddingWriter(tmp_path, 4) as writer:
        writer.add(CropRow(1, 1, 1.0, "crops/1.jpg", True), np.ones(3, np.float32))
