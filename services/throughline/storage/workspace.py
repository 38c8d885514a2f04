"""Artifacts: immutable folders of a workspace that are there whole or not at all.

On the local disk an artifact is made in a hidden folder beside its place and takes its name at the end. In S3, where nothing can be
renamed, its files are uploaded first, none ever over another, and its manifest last.
"""

from __future__ import annotations

import errno
import hashlib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client import Counter

from throughline.domain.errors import Conflict, CorruptArtifact, InvalidInput, NotFound, SourceChanged
from throughline.storage import documents
from throughline.storage.claims import file_claim, lease
from throughline.storage.manifest import MANIFEST, Manifest, ManifestFile, artifact_key, describe, describe_file
from throughline.storage.object_store import ObjectStore
from throughline.storage.partial import flush, whole_file
from throughline.storage.staging import staging_folder

__all__ = ["Artifact", "Workspace", "artifact_key"]

MAX_MANIFEST_BYTES = 256 * 2**20
_ARTIFACTS = Counter(
    "throughline_artifacts",
    "Artifacts by outcome: made, found ready, or shared (waited for while another made it)",
    ["kind", "outcome"],
)


@dataclass(frozen=True)
class Artifact:
    """One complete artifact. `uri` is its folder and ends in a slash."""

    uri: str
    manifest: Manifest
    _objects: ObjectStore
    _cache: Path

    @property
    def key(self) -> str:
        """The last part of its folder's name."""
        return self.uri.rstrip("/").rpartition("/")[2]

    def names(self) -> list[str]:
        """Its files, by their path below the folder."""
        return list(self.manifest.files)

    def uri_of(self, name: str) -> str:
        """Where one of its files lies; raise NotFound where it has no such file."""
        return self.uri + (self._file(name).stored_as or name)

    def path(self, name: str) -> Path:
        """One of its files on this machine, fetched if need be; raise NotFound, or CorruptArtifact where it is not what was published."""
        file, uri = self._file(name), self.uri_of(name)
        path = self._objects.local_path(uri)
        if path is None:
            path = self._cache / name
            if not path.exists():
                self._fetch(uri, path, file)
        if not path.is_file() or path.stat().st_size != file.size_bytes:
            raise self._corrupt(f"{uri} is not as its manifest says")
        return path

    def read_part(self, name: str, first: int, count: int) -> bytes:
        """`count` bytes of one of its files from byte `first` on, without fetching the rest; raise NotFound, or CorruptArtifact where
        it has fewer."""
        file, uri = self._file(name), self.uri_of(name)
        if not 0 < count <= file.size_bytes - first:
            raise self._corrupt(f"{uri} has {file.size_bytes} bytes, not {count} from {first} on")
        cached = self._cache / name
        if cached.exists():
            with cached.open("rb") as part:
                part.seek(first)
                found = part.read(count)
        else:
            try:
                found = self._objects.read_part(uri, first, count)
            except (NotFound, SourceChanged) as error:
                raise self._corrupt(f"{uri} is gone or cut short though its manifest names it") from error
        if len(found) != count:
            raise self._corrupt(f"{uri} is not as its manifest says")
        return found

    def _file(self, name: str) -> ManifestFile:
        file = self.manifest.files.get(name)
        if file is None:
            raise NotFound(f"{self.uri} has no {name!r}; it has {', '.join(self.names()[:10])}")
        return file

    def _corrupt(self, problem: str) -> CorruptArtifact:
        return CorruptArtifact(f"{problem}; remove {self.uri} and run again")

    def _fetch(self, uri: str, path: Path, file: ManifestFile) -> None:
        with whole_file(path) as partial:
            try:
                self._objects.fetch(uri, partial)
            except NotFound as error:
                raise self._corrupt(f"{uri} is gone though its manifest names it") from error
            if describe_file(partial).sha256 != file.sha256:
                raise self._corrupt(f"{uri} is not as its manifest says")


class Workspace:
    """All artifacts below one URI. `cache` holds local copies and what is being made for S3; any process may share it."""

    def __init__(self, uri: str, objects: ObjectStore, cache: Path) -> None:
        self._uri = uri.rstrip("/") + "/"
        self._objects = objects
        self._cache = cache / hashlib.sha256(self._uri.encode()).hexdigest()[:16]

    @property
    def uri(self) -> str:
        """Where it lies; ends in a slash."""
        return self._uri

    def find(self, folder: str) -> Artifact | None:
        """The artifact in `folder`, such as reels/0123abcd, or None where there is none that is complete."""
        uri = self._uri + _checked(folder) + "/"
        try:
            data = self._objects.read(uri + MANIFEST, MAX_MANIFEST_BYTES)
        except NotFound:
            return None
        return Artifact(uri, documents.load(Manifest, data), self._objects, self._cache_of(folder, data))

    def get(self, uri_or_folder: str) -> Artifact:
        """The artifact in a folder of this workspace, given by name or URI; raise NotFound where there is none that is complete."""
        folder = uri_or_folder.removeprefix(self._uri).rstrip("/")
        if "://" in folder:
            raise InvalidInput(
                f"{uri_or_folder} lies outside of the workspace {self._uri}; all services must share one"
            )
        artifact = self.find(folder)
        if artifact is None:
            raise NotFound(f"there is no complete artifact {self._uri}{folder}/; run the stage that makes it")
        return artifact

    @contextmanager
    def claim(self, folder: str, on_wait: Callable[[], None]) -> Iterator[Artifact | None]:
        """Hold the sole right to make the artifact in `folder` while the block runs; yield it where it is there already.

        Whoever claims it meanwhile, in any process, waits, and mostly finds it made then. `on_wait` is called every moment of
        waiting; what it raises ends that. The right ends with its holder, however that happens.
        """
        ready = self.find(folder)
        if ready is not None:
            _count(folder, "found")
            yield ready
            return
        place = self._objects.local_path(self._uri + folder)
        if place is None:
            claim = lease(self._objects, f"{self._uri}claims/{folder}", on_wait)
        else:
            claim = file_claim(place.with_name(f".{place.name}.claim"), on_wait)
        with claim:
            made_by_another = self.find(folder)
            if made_by_another is not None:
                _count(folder, "shared")
            yield made_by_another

    @contextmanager
    def create(self, folder: str) -> Iterator[Path]:
        """Yield an empty local folder to fill; what it holds at the end is published as the artifact in `folder`.

        After an error it is discarded. Where another process published the same artifact meanwhile, that one stays.
        """
        local = self._objects.local_path(self._uri + _checked(folder))
        place = local or self._cache / "making" / folder
        with staging_folder(place.parent, place.name) as stage:
            yield stage
            if local is None:
                self._upload(stage, folder)
            else:
                self._move(stage, folder, local)
        _count(folder, "made")

    def _move(self, stage: Path, folder: str, place: Path) -> None:
        (stage / MANIFEST).write_bytes(documents.dump(describe(stage)))
        with ThreadPoolExecutor(16, "flush") as pool:  # the disk takes many at once for hardly more than one
            list(pool.map(flush, stage.rglob("*")))
        while True:
            try:
                stage.rename(place)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                if self.find(folder):
                    return
                place.rename(place.with_name(f".{place.name}.{uuid.uuid4().hex}.incomplete"))
            else:
                flush(place.parent)
                return

    def _upload(self, stage: Path, folder: str) -> None:
        uri = self._uri + folder + "/"
        made = describe(stage)
        with ThreadPoolExecutor(8, "publish") as pool:
            stored = pool.map(lambda item: self._upload_file(stage / item[0], uri, *item), made.files.items())
            manifest = documents.dump(Manifest(dict(zip(made.files, stored, strict=True))))
        try:
            self._objects.write(uri + MANIFEST, manifest, replace=False)
        except Conflict:
            return
        cache = self._cache_of(folder, manifest)
        cache.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # somebody fetched from it already
            stage.rename(cache)

    def _upload_file(self, path: Path, uri: str, name: str, file: ManifestFile) -> ManifestFile:
        """Upload one file under its name, or beside it where a maker that died or one at work now put other content there."""
        metadata = {"sha256": file.sha256}
        try:
            self._objects.write(uri + name, path, replace=False, metadata=metadata)
        except Conflict:
            if self._objects.head(uri + name).metadata.get("sha256") == file.sha256:
                return file
            file = replace(file, stored_as=f"{uuid.uuid4().hex}/{name}")
            self._objects.write(uri + file.stored_as, path, replace=False, metadata=metadata)
        return file

    def _cache_of(self, folder: str, manifest: bytes) -> Path:
        return self._cache / folder / hashlib.sha256(manifest).hexdigest()[:16]


def _count(folder: str, outcome: str) -> None:
    _ARTIFACTS.labels(folder.partition("/")[0], outcome).inc()


def _checked(folder: str) -> str:
    if not all(part and not part.startswith(".") and "\0" not in part for part in folder.split("/")):
        raise InvalidInput(f"{folder!r} is not a folder of the workspace; give a path such as reels/0123abcd")
    return folder
