"""Where the files that evidence names lie now: beside it, in a workspace or footage that was moved, or where they were."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from throughline.domain.errors import DependencyUnavailable, SourceChanged
from throughline.domain.evidence import Evidence, EvidenceFile, Role
from throughline.storage.object_store import ObjectStore, Pin
from throughline.storage.objects import file_uri

_BESIDE = (Role.FILM, Role.COMPANION, Role.QUERY)


@dataclass(frozen=True)
class Places:
    """`home`: the folder of evidence.json, where it is a local one; `workspace` and `footage`: URIs that end in a slash, of where
    those that the evidence names lie now. Objects in S3 are copied into `scratch`, once each."""

    evidence: Evidence
    objects: ObjectStore
    home: Path | None
    workspace: str
    footage: str
    scratch: Path
    _copies: dict[str, Path] = field(default_factory=dict)
    _away: dict[str, DependencyUnavailable] = field(default_factory=dict)
    """Buckets that don't answer, with why: not asked again for each object."""

    def file(self, file: EvidenceFile) -> str:
        """The URI of a file of the workspace."""
        if self.home is not None and file.role in _BESIDE and Path(file.name).name == file.name:
            beside = self.home / file.name
            if beside.is_file():
                return file_uri(beside)
        return _moved(file.uri, self.evidence.workspace_uri, self.workspace)

    def chunk(self, uri: str) -> str:
        """The URI of a chunk that lay at `uri`."""
        return _moved(uri, self.evidence.job.footage_uri, self.footage)

    def local(self, uri: str, etag: str = "") -> Path:
        """The object on this machine; where a bucket keeps versions and `etag` is given, that version.

        Raises NotFound, PermissionDenied, InvalidInput and DependencyUnavailable where it can't be had.
        """
        path = self.objects.local_path(uri)
        if path is not None:
            self.objects.head(uri)
            return path
        bucket = uri.split("/")[2]
        if bucket in self._away:
            raise self._away[bucket]
        if uri not in self._copies:
            try:
                self._copies[uri] = self._fetched(uri, etag)
            except DependencyUnavailable as error:
                self._away[bucket] = error
                raise
        return self._copies[uri]

    def _fetched(self, uri: str, etag: str) -> Path:
        copy = self.scratch / str(len(self._copies))
        try:
            self.objects.fetch(uri, copy, pin=Pin(etag))
        except SourceChanged:
            self.objects.fetch(uri, copy)
        return copy


@contextmanager
def places(
    evidence: Evidence, objects: ObjectStore, file: Path | None, workspace: str = "", footage: str = ""
) -> Iterator[Places]:
    """Places for evidence that was read from a local `file`, or from elsewhere. `workspace` and `footage`: given by the caller."""
    home = file.absolute().parent if file is not None else None
    workspace = workspace or _workspace_around(home, evidence) or evidence.workspace_uri
    footage = footage or evidence.job.footage_uri
    with tempfile.TemporaryDirectory(prefix="throughline-verify-") as scratch:
        yield Places(evidence, objects, home, _folder(workspace), _folder(footage), Path(scratch))


def _workspace_around(home: Path | None, evidence: Evidence) -> str:
    """The workspace that evidence.json lies in, wherever that was moved to; empty where it lies in none."""
    inner = Path("jobs", evidence.job.job_id, "evidence", str(evidence.film.revision))
    if home is None or home.parts[-len(inner.parts) :] != inner.parts:
        return ""
    return file_uri(home.parents[len(inner.parts) - 1])


def _moved(uri: str, old: str, new: str) -> str:
    return new + uri.removeprefix(_folder(old)) if uri.startswith(_folder(old)) else uri


def _folder(uri: str) -> str:
    return uri.rstrip("/") + "/"
