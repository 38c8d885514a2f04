"""Tracks of a camera and the embeddings of their crops, as files. Both are written as they come: memory stays flat."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib import format as npy
from numpy.typing import NDArray

from throughline.domain.errors import CorruptArtifact
from throughline.domain.geometry import Boxes
from throughline.domain.time import Interval
from throughline.domain.tracks import TrackEmbeddings, TrackTable
from throughline.storage.arrays import unbroken
from throughline.storage.columns import BOX_FIELDS, ROW_GROUP, TableWriter, read_batches, read_table, schema
from throughline.storage.workspace import Artifact

TRACKS_FILE = "tracks.parquet"
VECTORS_FILE = "embeddings.npy"
INDEX_FILE = "embeddings.parquet"
CLEAR_FILE = "clear.npy"
"""(m,) bool, which crops are clear. A file of its own: releases that know nothing of it read the others."""

TRACKS = schema("tracks 1", track_id=pa.int64(), time_ns=pa.int64(), **BOX_FIELDS, score=pa.float32())
EMBEDDINGS = schema("embeddings 1", track_id=pa.int64(), time_ns=pa.int64(), quality=pa.float32(), crop=pa.string())
_BLOCK = 4_096


class TrackWriter(TableWriter):
    """tracks.parquet, written as boxes come, about in order of time. So a few tracks or a span are read without the rest."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, TRACKS)

    def write_boxes(
        self,
        track_ids: NDArray[np.int64],
        times_ns: NDArray[np.int64],
        boxes: Boxes,
        scores: NDArray[np.float32],
    ) -> None:
        """track_ids: (n,) from 1; times_ns: (n,) camera time; boxes: (n, 4) xyxy, pixels of the upright source frame; scores: (n,)."""
        self.write(track_ids, times_ns, *boxes.T, scores)


def write_tracks(path: Path, tracks: TrackTable) -> None:
    """Write a table that is at hand."""
    order = np.argsort(tracks.times_ns, kind="stable")
    with TrackWriter(path) as writer:
        for start in range(0, len(order), ROW_GROUP):
            rows = order[start : start + ROW_GROUP]
            writer.write_boxes(tracks.track_ids[rows], tracks.times_ns[rows], tracks.boxes[rows], tracks.scores[rows])


class BoxBlock(NamedTuple):
    """Some rows of a table of tracks, in the order in which they were written: each track's in order of time.

    track_ids, times_ns: (n,) int64; boxes: (n, 4) float32 xyxy, pixels of the upright source frame; scores: (n,) float32.
    """

    track_ids: NDArray[np.int64]
    times_ns: NDArray[np.int64]
    boxes: Boxes
    scores: NDArray[np.float32]


def track_blocks(path: Path) -> Iterator[BoxBlock]:
    """All boxes of a file, block by block, however many there are."""
    for batch in read_batches(path, TRACKS):
        columns = {name: batch.column(name).to_numpy() for name in TRACKS.names}
        boxes = np.stack([columns[name] for name in BOX_FIELDS], axis=1)
        yield BoxBlock(columns["track_id"], columns["time_ns"], boxes, columns["score"])


def read_tracks(path: Path, *, track_ids: Collection[int] | None = None, span: Interval | None = None) -> TrackTable:
    """The tracks of a file, or only those of `track_ids`, or only the boxes within `span` (camera time)."""
    condition: pc.Expression | None = None
    if track_ids is not None:
        condition = pc.field("track_id").isin(pa.array(sorted(track_ids), pa.int64()))
    if span is not None:
        within = (pc.field("time_ns") >= span.start.ns) & (pc.field("time_ns") < span.end.ns)
        condition = within if condition is None else condition & within
    table = read_table(path, TRACKS, filters=condition)
    columns = {name: table[name].to_numpy() for name in TRACKS.names}
    order = np.lexsort((columns["time_ns"], columns["track_id"]))
    boxes = np.stack([columns[name][order] for name in BOX_FIELDS], axis=1)
    return TrackTable(columns["track_id"][order], columns["time_ns"][order], boxes, columns["score"][order])


@dataclass(frozen=True)
class TrackExtents:
    """When each track was seen, by rising id. ids, starts_ns, ends_ns, box_counts: (t,) int64; times are the camera's, of the
    first and of the last box."""

    ids: NDArray[np.int64]
    starts_ns: NDArray[np.int64]
    ends_ns: NDArray[np.int64]
    box_counts: NDArray[np.int64]


def read_track_extents(path: Path) -> TrackExtents:
    """When each track was seen, without its boxes."""
    table = read_table(path, TRACKS, ("track_id", "time_ns"))
    grouped = table.group_by("track_id").aggregate([("time_ns", "min"), ("time_ns", "max"), ("time_ns", "count")])
    grouped = grouped.sort_by("track_id")
    names = ("track_id", "time_ns_min", "time_ns_max", "time_ns_count")
    return TrackExtents(*(grouped[name].to_numpy().astype(np.int64, copy=False) for name in names))


class CropRow(NamedTuple):
    """What is written of one crop. quality: 0..1; crop: the name of its picture; clear: see TrackEmbeddings."""

    track_id: int
    time_ns: int
    quality: float
    crop: str
    clear: bool


class EmbeddingWriter:
    """Takes vectors in any order and leaves them in order of (track_id, time); they wait on disk, not in memory."""

    def __init__(self, folder: Path, dimension: int) -> None:
        self._folder = folder
        self._dimension = dimension
        self._spool = (folder / f"{VECTORS_FILE}.part").open("w+b")
        self._rows: list[CropRow] = []

    def add(self, row: CropRow, vector: NDArray[np.float32]) -> None:
        """Add one crop's vector: (d,) float32, unit length."""
        if vector.shape != (self._dimension,):
            raise CorruptArtifact(f"an embedding has shape {vector.shape}; the model's card says ({self._dimension},)")
        self._spool.write(np.ascontiguousarray(vector, np.float32).tobytes())
        self._rows.append(row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self._spool.flush()
                self._finish()
        finally:
            self._spool.close()
            Path(self._spool.name).unlink(missing_ok=True)

    def _finish(self) -> None:
        shape = (len(self._rows), self._dimension)
        vectors = np.memmap(self._spool, "<f4", "r", shape=shape) if self._rows else np.zeros(shape, np.float32)
        ids, times, qualities, crops, clear = zip(*self._rows, strict=True) if self._rows else ((),) * 5
        columns = (np.array(ids, np.int64), np.array(times, np.int64), np.array(qualities, np.float32))
        write_embeddings(self._folder, TrackEmbeddings(vectors, *columns, np.array(clear, bool), tuple(crops)))


def write_embeddings(folder: Path, embeddings: TrackEmbeddings) -> None:
    """Write embeddings that are at hand, in any order."""
    order = np.lexsort((embeddings.times_ns, embeddings.track_ids))
    blocks = [order[start : start + _BLOCK] for start in range(0, len(order), _BLOCK)]
    with (folder / VECTORS_FILE).open("wb") as file:
        npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": embeddings.vectors.shape})
        for rows in blocks:
            file.write(np.asarray(embeddings.vectors[rows], "<f4").tobytes())
    with TableWriter(folder / INDEX_FILE, EMBEDDINGS) as writer:
        for rows in blocks:
            columns = (embeddings.track_ids, embeddings.times_ns, embeddings.qualities)
            writer.write(*(column[rows] for column in columns), [embeddings.crops[row] for row in rows.tolist()])
    np.save(folder / CLEAR_FILE, embeddings.clear[order])


def read_embeddings(folder: Path) -> TrackEmbeddings:
    """Embeddings of a folder that holds their files; the vectors stay on disk until they are used. Where nothing says which crops
    are clear, all are: poor ones were not kept then."""
    table = read_table(folder / INDEX_FILE, EMBEDDINGS)
    path = folder / VECTORS_FILE
    with unbroken(path, "delete its artifact to make it anew"):
        vectors: NDArray[np.float32] = np.load(path, mmap_mode="r" if table.num_rows else None, allow_pickle=False)
        if not isinstance(vectors, np.ndarray):
            raise TypeError("it is an archive")
    if vectors.ndim != 2 or len(vectors) != table.num_rows or vectors.dtype != np.float32:
        raise CorruptArtifact(f"{path} holds {vectors.dtype} {vectors.shape}; its index has {table.num_rows} rows")
    clear = _clear(folder / CLEAR_FILE, table.num_rows)
    track_ids, times_ns, qualities = (table[name].to_numpy() for name in ("track_id", "time_ns", "quality"))
    return TrackEmbeddings(vectors, track_ids, times_ns, qualities, clear, tuple(map(str, table["crop"].to_pylist())))


def _clear(path: Path, count: int) -> NDArray[np.bool_]:
    if not path.exists():
        return np.ones(count, bool)
    with unbroken(path, "delete its artifact to make it anew"):
        clear = np.load(path, allow_pickle=False)
        if not isinstance(clear, np.ndarray) or clear.shape != (count,) or clear.dtype != np.bool_:
            raise TypeError(f"it does not say of {count} crops whether they are clear")
    return clear


def artifact_embeddings(artifact: Artifact) -> TrackEmbeddings:
    """Those of a tracks artifact, fetched if need be."""
    vectors, _ = artifact.path(VECTORS_FILE), artifact.path(INDEX_FILE)
    if CLEAR_FILE in artifact.names():
        artifact.path(CLEAR_FILE)
    return read_embeddings(vectors.parent)
