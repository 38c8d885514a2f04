"""Tiny scenes in a workspace: people who walk along a line, a box every 0.1 s, as tracks artifacts of a camera."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Boxes
from throughline.domain.pairs import TrackId, TrackSpan
from throughline.domain.query import Query
from throughline.domain.time import ClockMap, Instant, Interval
from throughline.domain.tracks import Track, TrackEmbeddings, TrackTable
from throughline.storage import documents
from throughline.storage.objects import file_uri, open_objects
from throughline.storage.pictures import PictureWriter
from throughline.storage.tables import TRACKS_FILE, write_embeddings, write_tracks
from throughline.storage.workspace import Workspace
from throughline.tracker.artifacts import SUMMARY_FILE, CameraTracks, TrackSummary
from throughline.wire.settings import ServiceSettings

START = Instant.parse("2026-03-01T10:00:00Z")
SECOND = 1_000_000_000
STEP_NS = SECOND // 10


@dataclass(frozen=True)
class Walk:
    """Seen from `start` to `end`, seconds after START, beginning at `left` and walking `speed` px/s to the right; 60 x 180 px."""

    number: int
    start: float
    end: float
    left: float = 100.0
    speed: float = 60.0
    top: float = 200.0
    vector: tuple[float, ...] = (1.0, 0.0, 0.0)
    since: float | None = None
    """Second at which they stood at `left`, where that is not `start`: so two walks can be parts of one way."""

    @property
    def times_ns(self) -> NDArray[np.int64]:
        first, last = (START.ns + round(second * SECOND) for second in (self.start, self.end))
        return np.arange(first, last + 1, STEP_NS, dtype=np.int64)

    def boxes(self, times_ns: NDArray[np.int64]) -> Boxes:
        elapsed = (times_ns - START.ns) / SECOND - (self.start if self.since is None else self.since)
        left = self.left + self.speed * elapsed
        top = np.full(len(left), self.top)
        return np.stack([left, top, left + 60, top + 180], axis=1).astype(np.float32)

    @property
    def track(self) -> Track:
        times = self.times_ns
        return Track(self.number, times, self.boxes(times), np.full(len(times), 0.9, np.float32))

    def query(self, camera: str = "cam1", offset: float = 0.0, every: int = 1) -> Query:
        """The walk as a query whose times are off by `offset` seconds."""
        times = self.times_ns[::every]
        return Query(camera, "someone", times + round(offset * SECOND), self.boxes(times))

    def span(self) -> Interval:
        return self.track.span


@dataclass
class Camera:
    """What stands in one camera's tracks artifact."""

    name: str
    walks: tuple[Walk, ...]
    clock: ClockMap = field(default_factory=ClockMap)
    reid_digest: str = "reid"
    crops_each: int = 2
    poor_each: int = 0
    """Of these so many are poor, though of higher quality: they show somebody else."""

    def publish(self, workspace: Workspace, key: str = "") -> CameraTracks:
        """Write the artifact."""
        folder = f"tracks/{key or self.name}"
        with workspace.create(folder) as place:
            write_tracks(place / TRACKS_FILE, table(self.walks))
            write_embeddings(place, self._embeddings(place))
            (place / SUMMARY_FILE).write_bytes(documents.dump(self._summary()))
        artifact = workspace.get(folder)
        return CameraTracks(artifact, self._summary(), self.clock)

    def _embeddings(self, place: Path) -> TrackEmbeddings:
        rows = [
            (walk, int(walk.times_ns[index]))
            for walk in sorted(self.walks, key=lambda each: each.number)
            if any(walk.vector)
            for index in range(self.crops_each)
        ]
        clear = np.arange(len(rows)) % self.crops_each >= self.poor_each
        with PictureWriter(place) as pictures:
            names = tuple(
                pictures.add(b"\xff\xd8%s\xff\xd9" % (b"a picture" if is_clear else b"a picture of somebody else"))
                for is_clear in clear.tolist()
            )
        dimension = len(self.walks[0].vector) if self.walks else 3
        vectors = np.array([walk.vector for walk, _ in rows], np.float32).reshape(-1, dimension)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return TrackEmbeddings(
            vectors,
            np.array([walk.number for walk, _ in rows], np.int64),
            np.array([time for _, time in rows], np.int64),
            np.where(clear, 0.8, 0.9).astype(np.float32),
            clear,
            names,
        )

    def _summary(self) -> TrackSummary:
        boxes = sum(len(walk.times_ns) for walk in self.walks)
        counts = (100, boxes, len(self.walks), len(self.walks) * self.crops_each)
        return TrackSummary(self.name, "reel", 10.0, None, "detector", self.reid_digest, *counts, ())


def table(walks: Iterable[Walk]) -> TrackTable:
    tracks = [walk.track for walk in sorted(walks, key=lambda each: each.number)]
    if not tracks:
        return TrackTable(
            np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        )
    return TrackTable(
        np.concatenate([np.full(len(track.times_ns), track.track_id) for track in tracks]),
        np.concatenate([track.times_ns for track in tracks]),
        np.concatenate([track.boxes for track in tracks]),
        np.concatenate([track.scores for track in tracks]),
    )


def reference(tracks: CameraTracks, walk: Walk) -> TrackSpan:
    """The walk's track, as a stage before would name it."""
    return TrackSpan(
        TrackId(tracks.camera, tracks.artifact.key, walk.number), tracks.clock.interval_to_utc(walk.span())
    )


def open_workspace(root: Path) -> Workspace:
    return Workspace(file_uri(root / "workspace"), open_objects(ServiceSettings(allowed_roots=(root,))), root / "cache")
