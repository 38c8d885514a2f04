"""The two kinds of place that storage tests run on."""

from __future__ import annotations

from dataclasses import dataclass

from throughline.storage.objects import ObjectStore
from throughline.storage.workspace import Workspace


@dataclass(frozen=True)
class Place:
    """A store and an empty folder in it; `uri` has no slash at its end."""

    objects: ObjectStore
    uri: str

    @property
    def is_s3(self) -> bool:
        return self.uri.startswith("s3://")


@dataclass(frozen=True)
class Workshop:
    """A workspace, and how another process would open it."""

    workspace: Workspace
    place: Place
    arguments: tuple[str, ...]
    """uri, cache, allowed root, S3 endpoint."""
