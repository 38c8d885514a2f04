"""What the tracker reads and writes as artifacts: their files, their documents, and how they are opened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from throughline.domain.errors import CorruptArtifact
from throughline.domain.footage import Reel
from throughline.domain.pairs import TrackId, TrackSpan
from throughline.domain.time import ClockMap, Instant, Interval
from throughline.domain.tracks import TrackEmbeddings
from throughline.domain.work import Incident
from throughline.storage import documents
from throughline.storage.tables import (
    TRACKS_FILE,
    VECTORS_FILE,
    TrackExtents,
    artifact_embeddings,
    read_track_extents,
)
from throughline.storage.workspace import Artifact

REEL_FILE = "reel.json"
SUMMARY_FILE = "summary.json"


@dataclass(frozen=True, slots=True)
class TrackSummary:
    """The content of summary.json. Times are the camera's; rate in frames/s; spans: what of the window was looked at, all if empty.

    skipped: spans in which nobody can have appeared, so that the detector looked only now and then, their ends included;
    skipped_frames: how many frames it did not look at there. Pieces reach beyond the window, and so may these.
    """

    camera: str
    reel_key: str
    rate: float
    window: Interval | None
    detector_digest: str
    reid_digest: str
    frame_count: int
    box_count: int
    track_count: int
    crop_count: int
    incidents: tuple[Incident, ...]
    skipped_frames: int = 0
    skipped: tuple[Interval, ...] = ()
    spans: tuple[Interval, ...] = ()


@dataclass(frozen=True)
class CameraTracks:
    """A tracks artifact and what is known of the camera's clock."""

    artifact: Artifact
    summary: TrackSummary
    clock: ClockMap

    @property
    def camera(self) -> str:
        return self.summary.camera

    def track_id(self, number: int) -> TrackId:
        return TrackId(self.camera, self.artifact.key, number)

    def span(self, number: int, start_ns: int, end_ns: int) -> TrackSpan:
        """The track's reference, with its span of camera time in UTC."""
        span = self.clock.interval_to_utc(Interval(Instant(start_ns), Instant(end_ns)))
        return TrackSpan(self.track_id(number), span)

    def extents(self) -> TrackExtents:
        return read_track_extents(self.artifact.path(TRACKS_FILE))

    def embeddings(self) -> TrackEmbeddings:
        """Raises CorruptArtifact where a vector is not finite: it would spoil all comparisons of its camera."""
        found = artifact_embeddings(self.artifact)
        if not np.isfinite(found.vectors).all():
            path = self.artifact.path(VECTORS_FILE)
            raise CorruptArtifact(
                f"{path} holds vectors that are not finite; delete its artifact and track camera {self.camera} again"
            )
        return found


def read_reel(artifact: Artifact) -> Reel:
    """The content of a reel's reel.json."""
    return documents.load(Reel, artifact.path(REEL_FILE).read_bytes())


def read_summary(artifact: Artifact) -> TrackSummary:
    """The content of a tracks artifact's summary.json."""
    return documents.load(TrackSummary, artifact.path(SUMMARY_FILE).read_bytes())
