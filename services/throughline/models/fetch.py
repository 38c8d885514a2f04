"""Fetches files of weights: resumed where they were broken off, checked against a known or recorded SHA-256.

Beside `<file>` stands `<file>.source.json`, the record of what was fetched; `.<file>.part` is what has come so far.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from throughline.domain.errors import (
    Conflict,
    CorruptArtifact,
    DependencyUnavailable,
    InvalidInput,
    NotFound,
    StorageFull,
    ThroughlineError,
)
from throughline.models.catalogue import Entry

_TRIES = 5
_CHUNK_BYTES = 1 << 16
_TIMEOUT = httpx.Timeout(30.0)

Progress = Callable[[int, int], None]
"""Told bytes done and in total; 0 in total where that isn't known."""


class Record(BaseModel):
    """What was fetched. `pinned`: its SHA-256 was known before; else it is that of the first file that came."""

    model_config = ConfigDict(frozen=True)

    url: str
    sha256: str
    bytes: int
    licence: str
    pinned: bool


def fetch(entry: Entry, folder: Path, base_url: str = "", on_progress: Progress = lambda _done, _total: None) -> Path:
    """The file of `entry` in `folder`, fetched where it isn't there yet, from `base_url`/<file> where that is given.

    Raises NotFound, DependencyUnavailable, StorageFull, InvalidInput, Conflict while another process fetches it, or CorruptArtifact
    where it is another file than the one that is known or was recorded.
    """
    url = f"{base_url.rstrip('/')}/{quote(entry.file)}" if base_url else entry.url
    path = folder / entry.file
    recorded = read_record(path)
    wanted = entry.sha256 or (recorded.sha256 if recorded else "")
    if path.is_file():
        _check(path, sha256(path), wanted, "remove it to fetch it again")
    else:
        with _written(folder, entry) as part:
            _fill(part, url, entry, on_progress)
            _check(part, sha256(part), wanted, _other_file(url, bool(entry.sha256), path))
            part.replace(path)
    record = Record(
        url=url if recorded is None else recorded.url,
        sha256=sha256(path),
        bytes=path.stat().st_size,
        licence=entry.licence,
        pinned=bool(entry.sha256),
    )
    record_path(path).write_text(record.model_dump_json(indent=2) + "\n")
    return path


def sha256(path: Path) -> str:
    """Of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_path(path: Path) -> Path:
    """Where the record of a file of weights stands."""
    return path.with_name(path.name + ".source.json")


def read_record(path: Path) -> Record | None:
    """What is recorded of a file of weights; None where nothing is. Raises CorruptArtifact where that cannot be read."""
    beside = record_path(path)
    if not beside.is_file():
        return None
    try:
        return Record.model_validate_json(beside.read_bytes())
    except ValidationError as error:
        raise CorruptArtifact(f"{beside} cannot be read; remove it to trust {path.name} anew: {error}") from error


def _check(path: Path, found: str, wanted: str, remedy: str) -> None:
    if wanted and found != wanted:
        if path.suffix == ".part":
            path.unlink()
        raise CorruptArtifact(f"{path.name} has SHA-256 {found}, and {wanted} is expected; {remedy}")


def _other_file(url: str, pinned: bool, path: Path) -> str:
    if pinned:
        return (
            f"{url} gave another file than the one that is known; it was thrown away. Weights of your own need no fetching: "
            "give their file to `throughline models build`"
        )
    return f"{url} gives another file than when it was first fetched; to trust the new one, remove {record_path(path)}"


@contextmanager
def _written(folder: Path, entry: Entry) -> Iterator[Path]:
    """The partial file, for one process at a time; what the system says about the folder becomes an error that helps."""
    part = folder / f".{entry.file}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(f"another process is fetching {entry.file} into {folder}; wait for it") from error
            yield part
            for left in (_validator_path(part), Path(lock.name)):
                left.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(
                f"{folder} is full; make room and call again: what has come of {entry.file} is kept"
            ) from error
        raise InvalidInput(f"{entry.file} cannot be written to {folder}: {error}") from error


def _fill(part: Path, url: str, entry: Entry, on_progress: Progress) -> None:
    """Fetch into `part` what it lacks; a broken connection is taken up again a few times."""
    with httpx.Client(follow_redirects=True, timeout=_TIMEOUT) as client:
        for attempt in range(1, _TRIES + 1):
            before = part.stat().st_size if part.is_file() else 0
            try:
                _stream(client, part, url, entry, on_progress)
                return
            except httpx.HTTPError as error:
                moved = part.is_file() and part.stat().st_size > before
                if attempt == _TRIES or not moved:
                    raise DependencyUnavailable(
                        f"{url} cannot be fetched: {error or type(error).__name__}; see to the network, name a proxy in "
                        "HTTPS_PROXY, or fetch the file elsewhere and give --base-url. Call again to go on where it broke off"
                    ) from error


def _stream(client: httpx.Client, part: Path, url: str, entry: Entry, on_progress: Progress) -> None:
    validator = _validator(part, url)
    done = part.stat().st_size if validator and part.is_file() else 0
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": validator}
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is missing; the checksum tells whether it is right
        _refuse(answer, url, entry)
        if answer.status_code != httpx.codes.PARTIAL_CONTENT:
            done = 0
        total = done + int(answer.headers.get("Content-Length", 0)) if "Content-Length" in answer.headers else 0
        _keep_validator(part, url, answer)
        with part.open("r+b" if done else "wb") as file:
            file.seek(done)
            _copy(answer, file, done, total, on_progress)


def _copy(answer: httpx.Response, file: IO[bytes], done: int, total: int, on_progress: Progress) -> None:
    on_progress(done, total)
    for piece in answer.iter_bytes(_CHUNK_BYTES):
        file.write(piece)
        file.flush()
        done += len(piece)
        on_progress(done, total)


def _refuse(answer: httpx.Response, url: str, entry: Entry) -> None:
    if answer.is_success and not answer.headers.get("Content-Type", "").startswith("text/html"):
        return
    if answer.is_success:
        raise DependencyUnavailable(
            f"{url} gives a web page instead of {entry.file}; fetch it with a browser, put it into a folder, and give --base-url"
        )
    said = f"{url} answers {answer.status_code} {answer.reason_phrase}"
    error: type[ThroughlineError] = NotFound if answer.status_code in {404, 410} else DependencyUnavailable
    raise error(f"{said}; fetch {entry.file} elsewhere and give --base-url")


def _validator_path(part: Path) -> Path:
    return part.with_suffix(".validator")


def _keep_validator(part: Path, url: str, answer: httpx.Response) -> None:
    """Remember by what the server can tell whether it still has the same file; a weak tag can't."""
    tag = answer.headers.get("ETag", "")
    validator = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
    _validator_path(part).write_text(json.dumps({"url": url, "validator": validator}))


def _validator(part: Path, url: str) -> str:
    with suppress(OSError, ValueError, KeyError):
        kept = json.loads(_validator_path(part).read_text())
        if kept["url"] == url:
            return str(kept["validator"])
    return ""
