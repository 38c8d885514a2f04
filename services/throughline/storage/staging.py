"""Local folders in which artifacts are made; those whose makers died are cleared away."""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from throughline.storage.space import room_in


@contextmanager
def staging_folder(parent: Path, name: str) -> Iterator[Path]:
    """Yield a new hidden folder in `parent` for making `name`; it is removed at the end unless it was moved away.

    A lock that dies with this process tells others that it is in use. What dead processes left for the same `name` is removed.
    Raises StorageFull where there is no room left.
    """
    with room_in(parent):
        parent.mkdir(parents=True, exist_ok=True)
        _clear_dead(parent, name)
        folder, handle = _new_folder(parent, name)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)


def _new_folder(parent: Path, name: str) -> tuple[Path, int]:
    while True:
        folder = parent / f".{name}.{uuid.uuid4().hex}.partial"
        folder.mkdir()
        handle = _lock(folder)
        if handle is not None and folder.exists():
            return folder, handle
        if handle is not None:  # another process took it for dead in the moment before it was locked
            os.close(handle)


def _clear_dead(parent: Path, name: str) -> None:
    for folder in parent.glob(f".{escape(name)}.*.partial"):
        handle = _lock(folder)
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)


def _lock(folder: Path) -> int | None:
    """A handle that holds the folder's lock, or None where another process holds it or the folder is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
