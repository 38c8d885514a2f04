"""Objects by URI: S3 and the local disk behind one interface, and nothing that knows what the objects hold.

A URI is `s3://bucket/key` or `file:///absolute/path`. What follows the scheme is taken as it is written: nothing is percent-encoded,
so that a name is the same text in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from throughline.domain.errors import InvalidInput, PermissionDenied
from throughline.storage.object_store import ANY, ObjectInfo, ObjectStore, OpenObject, Pin, go_on
from throughline.storage.objects_file import FileObjects
from throughline.storage.objects_s3 import S3Objects
from throughline.wire.settings import ObjectSettings

__all__ = ["ObjectInfo", "ObjectSettings", "ObjectStore", "Pin", "file_uri", "open_objects"]


def file_uri(path: Path) -> str:
    """The file:// URI of a local path."""
    return f"file://{path.absolute()}"


def open_objects(settings: ObjectSettings) -> ObjectStore:
    """The store for all URIs that `settings` allow."""
    stores: Mapping[str, ObjectStore] = {"file": FileObjects(settings.allowed_roots), "s3": S3Objects(settings)}
    return _RoutedObjects(stores, settings.allowed_buckets)


class _RoutedObjects:
    """Hands each URI to the store of its scheme, unless its bucket is not allowed."""

    def __init__(self, stores: Mapping[str, ObjectStore], buckets: tuple[str, ...]) -> None:
        self._stores = stores
        self._buckets = buckets

    def _store(self, uri: str) -> ObjectStore:
        scheme, separator, rest = uri.partition("://")
        store = self._stores.get(scheme)
        if not separator or store is None:
            raise InvalidInput(f"{uri!r} is not a place that can be used; give s3://bucket/key or file:///path")
        bucket = rest.partition("/")[0]
        if scheme == "s3" and self._buckets and bucket not in self._buckets:
            raise PermissionDenied(
                f"bucket {bucket[:63]!r} is not on the allow list; ask for it to be put into THROUGHLINE_ALLOWED_BUCKETS"
            )
        return store

    def list(self, prefix_uri: str) -> Iterator[ObjectInfo]:
        return self._store(prefix_uri).list(prefix_uri)

    def folders(self, prefix_uri: str) -> tuple[str, ...]:
        return self._store(prefix_uri).folders(prefix_uri)

    def head(self, uri: str, *, etag: str = "", check: Callable[[], None] = go_on) -> ObjectInfo:
        return self._store(uri).head(uri, etag=etag, check=check)

    def exists(self, uri: str) -> bool:
        return self._store(uri).exists(uri)

    def read(self, uri: str, max_bytes: int | None = None) -> bytes:
        return self._store(uri).read(uri, max_bytes)

    def read_part(self, uri: str, first: int, count: int) -> bytes:
        return self._store(uri).read_part(uri, first, count)

    def fetch(self, uri: str, destination: Path, *, pin: Pin = ANY, check: Callable[[], None] = go_on) -> ObjectInfo:
        return self._store(uri).fetch(uri, destination, pin=pin, check=check)

    def open(self, uri: str, *, pin: Pin = ANY, check: Callable[[], None] = go_on) -> OpenObject:
        return self._store(uri).open(uri, pin=pin, check=check)

    def write(
        self, uri: str, data: bytes | Path, *, replace: bool = True, metadata: Mapping[str, str] | None = None
    ) -> None:
        self._store(uri).write(uri, data, replace=replace, metadata=metadata)

    def local_path(self, uri: str) -> Path | None:
        return self._store(uri).local_path(uri)
