"""Detections of a chunk as a columnar file, frame after frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from throughline.domain.errors import CorruptArtifact
from throughline.domain.geometry import Boxes, Size
from throughline.domain.time import Interval
from throughline.storage.columns import BOX_FIELDS, ROW_GROUP, TableWriter, read_table, schema

PEOPLE_FILE = "people.parquet"
"""Lies beside the tracks: all people that were detected, those of no track included."""
_FRAMES_AT_ONCE = 64
DETECTIONS = schema("detections 1", time_ns=pa.int64(), **BOX_FIELDS, score=pa.float32(), class_id=pa.int32())


@dataclass(frozen=True)
class FrameDetections:
    """What was detected in one frame. boxes: (k, 4) float32 xyxy, pixels of the upright source frame; scores: (k,) float32;
    class_ids: (k,) int32, by the detector's card; crops: of some rows what gives the RGB picture that their boxes show; never written."""

    time_ns: int
    boxes: Boxes
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    crops: Mapping[int, Callable[[], NDArray[np.uint8]]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class People:
    """Who was detected in a span, tracked or not. times_ns: (n,) int64; boxes: (n, 4) float32 xyxy, pixels of the upright source
    frame; scores: (n,) float32; looked_ns: (m,) int64, when the detector looked, in order. Times are the camera's."""

    times_ns: NDArray[np.int64]
    boxes: Boxes
    scores: NDArray[np.float32]
    looked_ns: NDArray[np.int64]

    def only(self, rows: NDArray[np.bool_]) -> People:
        """The chosen detections."""
        return People(self.times_ns[rows], self.boxes[rows], self.scores[rows], self.looked_ns)


class DetectionWriter(TableWriter):
    """A chunk's detections, frames in order of time. A frame in which nothing was found stands as one row without a box."""

    def __init__(self, path: Path, size: Size) -> None:
        super().__init__(path, DETECTIONS)
        self._writer.add_key_value_metadata({"width": str(size.width), "height": str(size.height)})
        self.frames = 0
        self.boxes = 0
        self._held: list[FrameDetections] = []

    def write_frame(self, found: FrameDetections) -> None:
        """Add one frame."""
        self.frames += 1
        self.boxes += len(found.scores)
        self._held.append(replace(found, crops={}))
        if len(self._held) >= _FRAMES_AT_ONCE:
            self._write_held()

    def _flush(self) -> None:
        self._write_held()
        super()._flush()

    def _write_held(self) -> None:
        held, self._held = self._held, []
        if held:
            counts = np.array([len(each.scores) for each in held])
            empty = np.repeat(counts == 0, np.maximum(counts, 1))
            values = np.zeros((len(empty), 6))
            values[~empty, :4] = np.concatenate([each.boxes for each in held])
            values[~empty, 4] = np.concatenate([each.scores for each in held])
            values[~empty, 5] = np.concatenate([each.class_ids for each in held])
            columns = zip(values.T, DETECTIONS.types[1:], strict=True)
            times = np.repeat([each.time_ns for each in held], np.maximum(counts, 1))
            self.write(times, *(pa.array(column, type=kind, mask=empty, safe=False) for column, kind in columns))


def read_people(path: Path, span: Interval) -> People:
    """What a file of detections holds of a span (camera time)."""
    condition = (pc.field("time_ns") >= span.start.ns) & (pc.field("time_ns") < span.end.ns)
    table = read_table(path, DETECTIONS, filters=condition)
    columns = {name: table[name].to_numpy() for name in DETECTIONS.names}
    there = ~np.isnan(columns["score"].astype(np.float32))
    boxes = np.stack([columns[name] for name in BOX_FIELDS], axis=1).astype(np.float32)
    times = columns["time_ns"]
    return People(times[there], boxes[there], columns["score"].astype(np.float32)[there], np.unique(times))


def read_detections(path: Path) -> tuple[Size, Iterator[FrameDetections]]:
    """Size of the upright source frame, and the frames of a chunk in order, read a row group at a time."""
    try:
        file = pq.ParquetFile(path)
        metadata = {key.decode(): value.decode() for key, value in (file.metadata.metadata or {}).items()}
        size = Size(int(metadata["width"]), int(metadata["height"]))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise CorruptArtifact(
            f"{path} cannot be read as detections: {error}; delete its artifact to make it anew"
        ) from error
    if not file.schema_arrow.equals(DETECTIONS):
        raise CorruptArtifact(f"{path} has columns {file.schema_arrow.names}, not {DETECTIONS.names}")
    return size, _frames(file)


def _frames(file: pq.ParquetFile) -> Iterator[FrameDetections]:
    """Rows that follow each other at one time are one frame; a frame may lie across two row groups."""
    held: list[FrameDetections] = []
    with file:
        for batch in file.iter_batches(ROW_GROUP):
            columns = {name: batch[name].to_numpy(zero_copy_only=False) for name in ("time_ns", *DETECTIONS.names[1:])}
            held += _split(columns)
            for index in range(len(held) - 1):
                if held[index].time_ns != held[index + 1].time_ns:
                    yield held[index]
                else:
                    held[index + 1] = _joined(held[index], held[index + 1])
            held = held[-1:]
    yield from held


def _split(columns: dict[str, NDArray[Any]]) -> list[FrameDetections]:
    times = columns["time_ns"]
    edges = np.concatenate([[0], np.flatnonzero(np.diff(times)) + 1, [len(times)]])
    boxes = np.stack([columns[name] for name in BOX_FIELDS], axis=1).astype(np.float32)
    scores, classes = columns["score"].astype(np.float32), np.nan_to_num(columns["class_id"]).astype(np.int32)
    frames = []
    for start, end in itertools.pairwise(edges):
        rows = slice(start, end) if not np.isnan(scores[start]) else slice(start, start)
        frames.append(FrameDetections(int(times[start]), boxes[rows], scores[rows], classes[rows]))
    return frames


def _joined(a: FrameDetections, b: FrameDetections) -> FrameDetections:
    return FrameDetections(
        a.time_ns,
        np.concatenate([a.boxes, b.boxes]),
        np.concatenate([a.scores, b.scores]),
        np.concatenate([a.class_ids, b.class_ids]),
    )
