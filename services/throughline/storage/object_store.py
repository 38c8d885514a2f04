"""What an object is, and the interface that every kind of object storage fits behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from throughline.domain.time import Instant

BLOCK_BYTES = 2**20
"""What is read or written in one go."""


def go_on() -> None:
    """The check of whoever never stops."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of an object without reading it. `etag` changes whenever the content does; listings leave `metadata` empty."""

    uri: str
    size_bytes: int
    etag: str
    last_modified: Instant
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What its uploader said about it, keys in lower case."""
    version_id: str = ""
    is_archived: bool = False
    """It has to be restored before it can be read."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Which content of an object is meant: that with an ETag (empty: whatever it is) and, where it is known, a size."""

    etag: str = ""
    size_bytes: int | None = None


ANY = Pin()


class ByteReader(Protocol):
    """Content that is read at any place of it, as a file is."""

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, at least one except at the end."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place and tell it, in bytes from the start."""

    def tell(self) -> int:
        """The present place."""


class OpenObject(Protocol):
    """An object that is being read without a copy of it on the disk. Its content never changes while it is open."""

    version_id: str

    @property
    def content(self) -> Path | ByteReader:
        """The file itself where the object lies on this machine."""

    def prepare(self, check: Callable[[], None]) -> None:
        """Do ahead what can be done before anything is read; it may take as long as reading does. What `check` raises ends it."""

    def sha256(self) -> str:
        """Digest of the whole content, in hexadecimal; what was not read yet is read for it.

        Raises SourceChanged where it changed since it was opened.
        """

    def close(self) -> None:
        """Nothing more is read."""


class ObjectStore(Protocol):
    """Reads and writes objects; safe to use from several threads.

    Every method raises InvalidInput for a URI that is none, PermissionDenied, NotFound (an object or a bucket that is not there)
    and DependencyUnavailable (S3 is out of reach or overloaded). Where a bucket keeps versions, an object that was replaced or
    deleted is still read as it was pinned.
    """

    def list(self, prefix_uri: str) -> Iterator[ObjectInfo]:
        """All objects below the folder `prefix_uri` at any depth, in order of URI; none where there is no such folder."""

    def folders(self, prefix_uri: str) -> tuple[str, ...]:
        """Names of the folders right below the folder `prefix_uri`, in order; empty ones included."""

    def head(self, uri: str, *, etag: str = "", check: Callable[[], None] = go_on) -> ObjectInfo:
        """Look one object up, metadata included; raise SourceChanged where its ETag is no longer `etag`.

        `check` is called while it takes; what it raises ends the wait.
        """

    def exists(self, uri: str) -> bool:
        """Whether there is such an object."""

    def read(self, uri: str, max_bytes: int | None = None) -> bytes:
        """Content of a small object; raise LimitExceeded where it has more than `max_bytes`."""

    def read_part(self, uri: str, first: int, count: int) -> bytes:
        """`count` bytes of an object from byte `first` on, at least one; fewer where it ends before. Where it ends before the first
        one, there are none, or SourceChanged is raised."""

    def fetch(self, uri: str, destination: Path, *, pin: Pin = ANY, check: Callable[[], None] = go_on) -> ObjectInfo:
        """Copy an object to a local file, whole or not at all; raise SourceChanged where it is no longer the pinned one.

        `check` is called while it takes; what it raises ends the copying within a moment.
        """

    def open(self, uri: str, *, pin: Pin = ANY, check: Callable[[], None] = go_on) -> OpenObject:
        """Open an object for reading; raise SourceChanged where it is no longer the pinned one.

        `check` is called whenever reading takes a while, from any thread; what it raises ends that within a moment. Reading raises what
        `fetch` does.
        """

    def write(
        self, uri: str, data: bytes | Path, *, replace: bool = True, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Store bytes or a local file, whole or not at all; without `replace`, raise Conflict where there is one already.

        `metadata` stays with the object in S3; the local disk has no place for it.
        """

    def local_path(self, uri: str) -> Path | None:
        """Where the object lies on this machine, or None where it has to be fetched."""
