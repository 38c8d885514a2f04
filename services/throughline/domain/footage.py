"""Recorded video: the chunks that a listing found, and the reel that they were collated into. All times are the camera's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from throughline.domain.geometry import Size
from throughline.domain.time import Instant, Interval
from throughline.domain.work import Incident


@dataclass(frozen=True, slots=True)
class ChunkObject:
    """One object of a listing, pinned by its ETag. `name` is its path below the camera's folder."""

    uri: str
    name: str
    size_bytes: int
    etag: str
    last_modified: Instant


@dataclass(frozen=True, slots=True)
class Listing:
    """What lay below a footage URI when a job was submitted: chunks by camera, each in order of name.

    `extensions` were taken for video, sorted; empty in listings that don't tell.
    """

    uri: str
    cameras: dict[str, tuple[ChunkObject, ...]]
    incidents: tuple[Incident, ...] = ()
    extensions: tuple[str, ...] = ()


class TimeSource(StrEnum):
    """Where the time of a chunk came from, the surest first."""

    OBJECT_METADATA = "object_metadata"
    FILE_NAME = "file_name"
    PRODUCER = "producer"
    CONTAINER = "container"
    LAST_MODIFIED = "last_modified"


@dataclass(frozen=True, slots=True)
class ChunkTime:
    """When a chunk's first frame was taken, and how sure that is (one unit of the source's resolution)."""

    start: Instant
    source: TimeSource
    uncertainty_ns: int

    @property
    def is_guess(self) -> bool:
        return self.source is TimeSource.LAST_MODIFIED


@dataclass(frozen=True, slots=True)
class ReelChunk:
    """What became of one chunk. One that was left out has a `problem` and no `span`; one used in part has both."""

    name: str
    uri: str
    etag: str
    size_bytes: int
    sha256: str = ""
    time: ChunkTime | None = None
    part: int | None = None
    span: Interval | None = None
    """Where it lies in the reel, first frame to the end of the last."""
    first_pts_ns: int = 0
    """Its first frame's own PTS; time in the reel = span.start + (PTS - this) * (1 + stretch_ppb / 10^9)."""
    snapped_ns: int = 0
    """How far it was moved from its stated time to lie end to end with the chunk before it."""
    stretch_ppb: int = 0
    """By how many billionths its times are stretched, so that the reel comes back to the times that its chunks state."""
    frame_count: int = 0
    """Frames of it in the reel."""
    undecodable_frames: int = 0
    """Frames left out because nothing can decode them: before its first keyframe, or broken."""
    dropped_frames: int = 0
    """Frames left out at its end because the next chunk covers their time."""
    problem: str = ""
    version_id: str = ""
    """The object's version that was read, where the store keeps versions."""


@dataclass(frozen=True, slots=True)
class ReelPart:
    """One file of a reel. Within it PTS = camera time - epoch, in ticks of 1/90000 s."""

    file: str
    epoch: Instant
    span: Interval
    codec: str
    size: Size
    """As shown: in square pixels, rotation applied."""
    rotation_degrees: int
    """Clockwise turn from the coded to the upright picture: 0, 90, 180 or 270."""
    frame_count: int


@dataclass(frozen=True, slots=True)
class Reel:
    """One camera's footage, collated: the content of reel.json."""

    camera: str
    parts: tuple[ReelPart, ...]
    chunks: tuple[ReelChunk, ...]
    gaps: tuple[Interval, ...]
    incidents: tuple[Incident, ...] = field(default=())

    @property
    def span(self) -> Interval | None:
        """First to last frame, or None for an empty reel."""
        return Interval(self.parts[0].span.start, self.parts[-1].span.end) if self.parts else None
