"""What lies below a footage URI: a camera for each folder, a chunk for each video object in it."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from pathlib import PurePosixPath

from throughline.domain.errors import NoUsableFootage
from throughline.domain.footage import ChunkObject, Listing
from throughline.domain.names import alike, known
from throughline.domain.work import Incident
from throughline.storage.object_store import ObjectInfo, ObjectStore, go_on

DEFAULT_EXTENSIONS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".3gp")
"""Objects with these, in any case, or with no extension at all are taken for video until they are looked into."""
_NAMED = 3
"""Objects named in an incident about many."""


def list_footage(
    objects: ObjectStore,
    footage_uri: str,
    cameras: Collection[str] = (),
    extensions: Collection[str] = DEFAULT_EXTENSIONS,
    check: Callable[[], None] = go_on,
) -> Listing:
    """List every camera below `footage_uri`, or only `cameras`, each chunk pinned by its ETag.

    Whatever can't be used is named in an incident. `check` is called for every object; what it raises ends the listing.

    Raises NoUsableFootage where no chunk is left, and what the store raises.
    """
    base = footage_uri.rstrip("/") + "/"
    folders = [name for name in objects.folders(base) if _is_safe(name) and (not cameras or name in cameras)]
    taken = sorted({extension.lower() for extension in extensions})
    sorter = _Sorter(frozenset(cameras), frozenset(taken))
    for info in objects.list(base):
        check()
        sorter.add(info, info.uri.removeprefix(base))
    if not sorter.chunks:
        raise NoUsableFootage(_nothing(base, folders, cameras, sorter))
    missing = sorted({*folders, *cameras} - set(sorter.chunks))
    without = (_without_video(name, folders, sorter.passed_over, base) for name in missing)
    incidents = [*sorter.incidents(base), *without]
    chunks = {name: tuple(sorter.chunks[name]) for name in sorted(sorter.chunks)}
    return Listing(base, chunks, tuple(incidents), tuple(taken))


class _Sorter:
    """Puts objects where they belong."""

    def __init__(self, cameras: frozenset[str], extensions: frozenset[str]) -> None:
        self.chunks: defaultdict[str, list[ChunkObject]] = defaultdict(list)
        self.outside: list[str] = []
        self.unsafe: list[str] = []
        self.foreign: defaultdict[str, list[str]] = defaultdict(list)
        self.passed_over: set[str] = set()
        """Cameras that were not asked for."""
        self._cameras = cameras
        self._extensions = extensions

    def add(self, info: ObjectInfo, path: str) -> None:
        camera, separator, name = path.partition("/")
        if not _is_safe(path):
            self.unsafe.append(_printable(path))
        elif not separator:
            self.outside.append(path)
        elif self._cameras and camera not in self._cameras:
            self.passed_over.add(camera)
        elif self._is_video(name):
            self.chunks[camera].append(ChunkObject(info.uri, name, info.size_bytes, info.etag, info.last_modified))
        else:
            self.foreign[camera].append(name)

    def incidents(self, base: str) -> Iterable[Incident]:
        if self.unsafe:
            yield Incident(
                "object_name_unsafe",
                base + self.unsafe[0],
                f"{_some(self.unsafe)} below {base} skipped: a part of the name is empty, `.` or `..`, "
                "or has control characters; rename to use",
            )
        if self.outside:
            yield Incident(
                "object_outside_camera",
                base + self.outside[0],
                f"{_some(self.outside)} right below {base} skipped: footage lies in one folder per camera; move to use",
            )
        for camera, names in sorted(self.foreign.items()):
            yield Incident(
                "object_not_video",
                f"{base}{camera}/{names[0]}",
                f"camera {camera}: {_some(names)} skipped: not named like video; THROUGHLINE_INGEST_EXTENSIONS says what is",
                camera,
            )

    def _is_video(self, name: str) -> bool:
        path = PurePosixPath(name)
        if path.name.startswith("."):
            return False
        return not path.suffix or path.suffix[1:].isdigit() or path.suffix.lower() in self._extensions


def _is_safe(path: str) -> bool:
    return not any(part in ("", ".", "..") for part in path.split("/")) and not any(map(_controls, path))


def _controls(letter: str) -> bool:
    """Whether it does something to a terminal or a log rather than stand there: control characters, ends of lines."""
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp")


def _printable(name: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" if _controls(letter) else letter for letter in name)


def _without_video(camera: str, folders: Collection[str], others: Collection[str], base: str) -> Incident:
    if camera in folders:
        message = f"camera {camera} has no video in {base}{camera}/; it takes no part"
        return Incident("camera_without_video", camera, message, camera)
    meant = alike(camera, {*folders, *others})
    hint = f". Did you mean {' or '.join(map(repr, sorted(meant)))}? Upper and lower case count" if meant else ""
    message = f"camera {camera} was asked for, but there is no folder {base}{camera}/; it takes no part{hint}"
    return Incident("camera_unknown", camera, message, camera)


def _nothing(base: str, folders: list[str], asked: Collection[str], sorter: _Sorter) -> str:
    nowhere = f"there is no folder {' or '.join(sorted(asked)[:10])} in it" if asked else "there is no folder in it"
    if sorter.passed_over:
        nowhere += f"; {known(sorted(asked)[0], sorted(sorter.passed_over))}"
    found = f"its folders ({', '.join(folders[:10])}) hold no video" if folders else nowhere
    if sorter.outside:
        found += f"; {_some(sorter.outside)} lie right below it, outside of any camera's folder"
    return (
        f"{base} has no footage: {found}. Give the URI of a folder that has one folder per camera, with video in each"
    )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return f"{len(names)} objects ({shown}, ...)" if len(names) > _NAMED else shown
