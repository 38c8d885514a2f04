"""The sole right to make an artifact: who comes second waits, instead of doing the same work beside the first.

A right that is lost, or held twice because its holder was paused, costs work and nothing else: artifacts are whole or not at all.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from throughline.domain.errors import Conflict, NotFound, ThroughlineError
from throughline.storage.object_store import ObjectStore

LEASE_SECONDS = 30.0
"""A lease in S3 that was not renewed for so long belongs to nobody any more."""
_POLL_SECONDS = 0.2
_RELEASED = b"released"


@contextmanager
def file_claim(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the file at `path` locked while the block runs. The kernel lets go when the holder ends, however that happens.

    `on_wait` is called every moment of waiting; what it raises ends that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while (handle := _locked(path)) is None:
        on_wait()
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _locked(path: Path) -> int | None:
    """A handle that holds the lock, or None where somebody else does."""
    handle = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):  # held, or the last holder removed it just now
        pass
    os.close(handle)
    return None


@contextmanager
def lease(
    objects: ObjectStore, folder_uri: str, on_wait: Callable[[], None], seconds: float = LEASE_SECONDS
) -> Iterator[None]:
    """Hold the lease that the objects below `folder_uri` stand for while the block runs, for stores that know no locks.

    Each lease is an object whose name is a number: nobody can make the same one twice, and the highest counts. Its holder writes it
    anew every few seconds; whoever sees it unchanged for `seconds`, by its own clock, takes the next number.
    """
    uri = _taken(objects, folder_uri.rstrip("/") + "/", on_wait, seconds)
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(objects, uri, done, seconds / 3), name="lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        _try_to_write(objects, uri, _RELEASED)


def _taken(objects: ObjectStore, folder_uri: str, on_wait: Callable[[], None], seconds: float) -> str:
    """The URI of a lease that is ours."""
    seen, seen_at = ("", b""), time.monotonic()
    while True:
        latest = _latest(objects, folder_uri)
        if latest != seen:
            seen, seen_at = latest, time.monotonic()
        uri, content = latest
        if not uri or content == _RELEASED or time.monotonic() - seen_at > seconds:
            number = int(uri.rpartition("/")[2]) + 1 if uri else 0
            wanted = f"{folder_uri}{number:06d}"
            try:
                objects.write(wanted, _beat(), replace=False)
                return wanted
            except Conflict:
                pass
        on_wait()
        time.sleep(max(_POLL_SECONDS, seconds / 30))


def _latest(objects: ObjectStore, folder_uri: str) -> tuple[str, bytes]:
    """URI and content of the lease with the highest number; empty where nobody ever held one."""
    uris = [info.uri for info in objects.list(folder_uri)]
    try:
        return (uris[-1], objects.read(uris[-1], 1000)) if uris else ("", b"")
    except NotFound:
        return "", b""


def _renew(objects: ObjectStore, uri: str, done: threading.Event, pause_seconds: float) -> None:
    while not done.wait(pause_seconds):
        _try_to_write(objects, uri, _beat())


def _try_to_write(objects: ObjectStore, uri: str, content: bytes) -> None:
    """What fails here lets the lease run out: work may be done twice, and nothing worse."""
    try:
        objects.write(uri, content)
    except ThroughlineError:
        return


def _beat() -> bytes:
    return uuid.uuid4().bytes
