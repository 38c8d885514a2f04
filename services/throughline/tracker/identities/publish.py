"""Files of a folder that change together: all of them are the former ones, or all of them the new ones.

They are made in a hidden folder, which then takes a name that says they are complete: from that moment on they are the new ones. They
are moved to their places at once, and where that was broken off, by whoever comes next.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from throughline.storage.partial import flush
from throughline.storage.staging import staging_folder

_COMPLETE = ".identities.complete"
_FORMER = ".former"


@contextmanager
def published(root: Path, replaced: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield an empty folder; at the end what it holds takes its places below `root`. After an error nothing has changed.

    `replaced`: folders that the new ones replace as a whole. One process at a time.
    """
    finish_publishing(root, replaced)
    with staging_folder(root, "identities") as stage:
        yield stage
        with ThreadPoolExecutor(8, "flush") as pool:
            list(pool.map(flush, stage.rglob("*")))
        stage.rename(root / _COMPLETE)
        flush(root)
    finish_publishing(root, replaced)


def finish_publishing(root: Path, replaced: tuple[str, ...] = ()) -> None:
    """Move what a process left complete to its places; it may be broken off at any moment, and called again."""
    complete = root / _COMPLETE
    if not complete.is_dir():
        return
    for name in replaced:
        if (complete / name).exists():
            if (root / name).exists():
                former = complete / _FORMER / name
                former.parent.mkdir(exist_ok=True)
                (root / name).rename(former)
            (complete / name).rename(root / name)
    for path in sorted(complete.rglob("*")):
        place = root / path.relative_to(complete)
        if path.is_file() and _FORMER not in path.relative_to(complete).parts and place.parent.is_dir():
            path.replace(place)
    shutil.rmtree(complete)
