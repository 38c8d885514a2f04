"""Puts objects where the ingest finds them, and collates them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tests.media.clips import Clip, make_clip, number_in
from throughline.domain.time import Instant, Interval
from throughline.domain.work import Work
from throughline.ingest.collate import CollatedReel, CollateRequest, Collator
from throughline.ingest.listing import list_footage
from throughline.ingest.settings import IngestSettings
from throughline.media.reader import ReelReader
from throughline.storage.objects import open_objects
from throughline.storage.workspace import Workspace

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Footage(ABC):
    """A place with one folder per camera. `uri` is what a caller would submit."""

    uri: str

    def __init__(self, settings: IngestSettings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.objects = open_objects(settings)
        self.workspace = Workspace(settings.workspace_uri, self.objects, settings.cache_dir)
        self._made = 0

    @abstractmethod
    def put(self, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Store an object below the footage's folder."""

    def clip(self, name: str, clip: Clip, metadata: Mapping[str, str] | None = None) -> Path:
        """Generate a clip, store it, and give its local original."""
        self._made += 1
        suffix = Path(name).suffix or ".mp4"
        path = make_clip(self.folder / "originals" / f"{self._made}{suffix}", clip)
        self.put(name, path.read_bytes(), metadata)
        return path

    def collate(
        self, camera: str, time_zone: str = "UTC", window: Interval | None = None, work: Work | None = None
    ) -> CollatedReel:
        listing = list_footage(self.objects, self.uri)
        return self.collator().collate(CollateRequest(listing, camera, time_zone, window), work or Work())

    def collator(self) -> Collator:
        return Collator(self.objects, self.workspace, self.settings.collate())


class DiskFootage(Footage):
    """Below a local folder, by file://."""

    def __init__(self, settings: IngestSettings, folder: Path) -> None:
        super().__init__(settings, folder)
        self.root = folder / "footage"
        self.root.mkdir()
        self.uri = f"file://{self.root}/"

    def put(self, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def uploaded_at(self, name: str, moment: Instant) -> None:
        """Set when an object was last modified."""
        os.utime(self.root / name, ns=(moment.ns, moment.ns))


class S3Footage(Footage):
    """In a bucket, by s3://."""

    def __init__(self, settings: IngestSettings, folder: Path, client: S3Client, bucket: str) -> None:
        super().__init__(settings, folder)
        self.client = client
        self.bucket = bucket
        self.uri = f"s3://{bucket}/recordings/"

    def put(self, name: str, data: bytes, metadata: Mapping[str, str] | None = None) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"recordings/{name}", Body=data, Metadata=dict(metadata or {}))


def reader(collated: CollatedReel) -> ReelReader:
    return ReelReader(collated.reel, collated.artifact.path)


def seen(collated: CollatedReel) -> list[tuple[str, int]]:
    """Time of day (UTC, milliseconds) and number of every frame of a reel."""
    with reader(collated) as frames:
        return [(f"{frame.time.to_datetime():%H:%M:%S.%f}"[:-3], number_in(frame.rgb())) for frame in frames.frames()]


def codes(collated: CollatedReel) -> list[str]:
    return [incident.code for incident in collated.reel.incidents]
