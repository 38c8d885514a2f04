"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from throughline.storage.space import room_in


@contextmanager
def whole_file(destination: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a new path beside `destination` to fill; it takes that name at the end and is gone after an error.

    Several processes may do so at once, for each has a path of its own. Without `replace`, raise FileExistsError where there is
    such a file already; StorageFull where there is no room left.
    """
    partial = destination.parent / f".{uuid.uuid4().hex}.partial"
    with room_in(destination.parent):
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            flush(partial)
            if replace:
                partial.replace(destination)
            else:
                destination.hardlink_to(partial)
        finally:
            partial.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Have a file or folder reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
