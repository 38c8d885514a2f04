"""Objects on the local disk: file:// below allowed roots and nowhere else, whatever `..` and symbolic links say."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from throughline.domain.errors import Conflict, InvalidInput, LimitExceeded, NotFound, PermissionDenied, SourceChanged
from throughline.domain.time import Instant
from throughline.storage.object_store import ANY, BLOCK_BYTES, ObjectInfo, Pin, go_on
from throughline.storage.partial import whole_file

SCHEME = "file://"
MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255
_log = logging.getLogger(__name__)


class OpenFile:
    """A file that is read where it lies."""

    version_id = ""

    def __init__(self, path: Path, uri: str, verify: Callable[[], object], check: Callable[[], None]) -> None:
        """`verify` raises SourceChanged where the file is another by now."""
        self.content = path
        self._uri = uri
        self._verify = verify
        self._check = check
        self._sha256 = ""

    def prepare(self, check: Callable[[], None]) -> None:
        digest = hashlib.sha256()
        with _translated(self._uri), self.content.open("rb", buffering=0) as file:
            block = memoryview(bytearray(BLOCK_BYTES))
            while count := file.readinto(block):
                check()
                digest.update(block[:count])
        self._sha256 = digest.hexdigest()

    def sha256(self) -> str:
        if not self._sha256:
            self.prepare(self._check)
        self._verify()
        return self._sha256

    def close(self) -> None:
        """Nothing is held."""


class FileObjects:
    """Files below `roots`. The ETag is made of the file's modification time, size and inode."""

    def __init__(self, roots: tuple[Path, ...]) -> None:
        self._roots = tuple(root.resolve() for root in roots)

    def local_path(self, uri: str) -> Path:
        """The real path that `uri` stands for; raise PermissionDenied outside of the allowed roots."""
        text = uri.removeprefix(SCHEME)
        if not text.startswith("/") or "\0" in text:
            raise InvalidInput(f"{uri!r} is not a file URI; give file:/// and an absolute path")
        if len(text.encode(errors="replace")) >= MAX_PATH_BYTES or any(map(_is_too_long, text.split("/"))):
            raise InvalidInput(f"{uri[:100]}... is longer than a file's name can be")
        try:
            path = Path(text).resolve()
        except (OSError, RuntimeError) as error:
            raise InvalidInput(f"{uri} can't be followed: {error}") from error
        if not self._allowed(path):
            raise PermissionDenied(
                f"{uri} lies outside of the allowed roots; add its folder to THROUGHLINE_ALLOWED_ROOTS"
            )
        return path

    def list(self, prefix_uri: str) -> Iterator[ObjectInfo]:
        folder = self.local_path(prefix_uri)
        yield from self._walk(folder, prefix_uri.rstrip("/") + "/", frozenset())

    def folders(self, prefix_uri: str) -> tuple[str, ...]:
        folder = self.local_path(prefix_uri)
        with _translated(prefix_uri):
            return tuple(sorted(entry.name for entry in self._entries(folder, prefix_uri) if entry.is_dir()))

    def head(self, uri: str, *, etag: str = "", check: Callable[[], None] = go_on) -> ObjectInfo:
        check()
        path = self.local_path(uri)
        with _translated(uri):
            if path.is_dir():
                raise NotFound(f"{uri} is a folder, not an object; name a file in it")
            info = _info(uri, path.stat())
        if etag and info.etag != etag:
            raise SourceChanged(f"{uri} is no longer the file that was listed; submit the job again")
        return info

    def exists(self, uri: str) -> bool:
        return self.local_path(uri).is_file()

    def read(self, uri: str, max_bytes: int | None = None) -> bytes:
        info = self.head(uri)
        if max_bytes is not None and info.size_bytes > max_bytes:
            raise LimitExceeded(f"{uri} has {info.size_bytes} bytes, more than the {max_bytes} that are taken")
        with _translated(uri):
            return self.local_path(uri).read_bytes()

    def read_part(self, uri: str, first: int, count: int) -> bytes:
        with _translated(uri), self.local_path(uri).open("rb") as file:
            file.seek(first)
            return file.read(count)

    def fetch(self, uri: str, destination: Path, *, pin: Pin = ANY, check: Callable[[], None] = go_on) -> ObjectInfo:
        before = self.head(uri, etag=pin.etag)
        with whole_file(destination) as partial:
            with _translated(uri), self.local_path(uri).open("rb") as source, partial.open("wb") as out:
                while block := source.read(BLOCK_BYTES):
                    check()
                    out.write(block)
            return self.head(uri, etag=before.etag)

    def open(self, uri: str, *, pin: Pin = ANY, check: Callable[[], None] = go_on) -> OpenFile:
        info = self.head(uri, etag=pin.etag)
        return OpenFile(self.local_path(uri), uri, partial(self.head, uri, etag=info.etag), check)

    def write(
        self,
        uri: str,
        data: bytes | Path,
        *,
        replace: bool = True,
        metadata: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> None:
        path = self.local_path(uri)
        with _translated(uri), whole_file(path, replace=replace) as partial:
            if isinstance(data, Path):
                shutil.copyfile(data, partial)
            else:
                partial.write_bytes(data)

    def _allowed(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in self._roots)

    def _walk(self, folder: Path, uri: str, above: frozenset[Path]) -> Iterator[ObjectInfo]:
        above |= {folder}
        with _translated(uri):
            entries = [(entry, entry.is_dir()) for entry in self._entries(folder, uri)]
        for entry, is_folder in sorted(entries, key=lambda item: item[0].name + "/" * item[1]):
            if is_folder:
                inner = Path(entry.path).resolve()
                if inner not in above:
                    yield from self._walk(inner, f"{uri}{entry.name}/", above)
            elif entry.is_file():
                with _translated(uri + entry.name):
                    yield _info(uri + entry.name, entry.stat())

    def _entries(self, folder: Path, uri: str) -> Iterator[os.DirEntry[str]]:
        """What lies in a folder; links that lead outside and names that are no text are logged and left out."""
        if not folder.is_dir():
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if not _is_text(entry.name):
                    _log.warning("left out %r in %s: its name is not UTF-8", entry.name, uri)
                elif entry.is_symlink() and not self._leads_inside(Path(entry.path)):
                    _log.warning("left out %s%s: it leads outside of the allowed roots, or nowhere", uri, entry.name)
                else:
                    yield entry

    def _leads_inside(self, link: Path) -> bool:
        try:
            return self._allowed(link.resolve())
        except (OSError, RuntimeError):  # links that lead to each other
            return False


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Turn the operating system's errors into our own."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "; names are taken as written, without percent-encoding" if "%" in uri else "; check the path"
        raise NotFound(f"there is no {uri}{hint}") from error
    except FileExistsError as error:
        raise Conflict(f"{uri} exists already; choose another name") from error
    except PermissionError as error:
        raise PermissionDenied(f"the service may not use {uri}; give its user the right to") from error


def _info(uri: str, status: os.stat_result) -> ObjectInfo:
    etag = f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"
    return ObjectInfo(uri, status.st_size, etag, Instant(status.st_mtime_ns))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_too_long(name: str) -> bool:
    return len(name.encode(errors="replace")) > MAX_NAME_BYTES
