"""Full disks: what the operating system says of one becomes an error with the folder's name and what to do."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from throughline.domain.errors import StorageFull

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """While the block writes below `folder`: raise StorageFull where its disk, or the owner's quota on it, is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StorageFull(
            f"no room left in {folder} ({_free_mb(folder)} MB free); free some there, and the work goes on where it was"
        ) from error


def _free_mb(folder: Path) -> int:
    """Of the disk that a folder lies on, or is to lie on."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free // 10**6
