"""Files of a folder that change together: all of them are the former ones, or all of them the new ones.

They are made in a hidden folder, which then takes a name that says they are complete: from that moment on they are the new ones. They
are moved to their places at once, and where that was broken off, by whoever comes next.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

from throughline.storage.claims import file_claim
from throughline.storage.object_store import go_on
from throughline.storage.partial import flush, whole_file
from throughline.storage.staging import staging_folder

_CLAIM = ".identities.claim"
_COMPLETE = ".identities.complete"
_FORMER = ".former"


@contextmanager
def claimed(root: Path, on_wait: Callable[[], None] = go_on) -> Iterator[bool]:
    """Hold the sole right to read and publish what belongs together below `root`, while the block runs; others wait.

    Yields False where nothing can be written: nobody publishes there, and nothing is held. `on_wait` is called every moment of
    waiting; what it raises ends that.
    """
    is_writable = os.access(root, os.W_OK)
    with file_claim(root / _CLAIM, on_wait) if is_writable else nullcontext():
        yield is_writable


@contextmanager
def published(root: Path, replaced: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield an empty folder; at the end what it holds takes its places below `root`. After an error nothing has changed.

    `replaced`: folders that the new ones replace as a whole. Needs the claim.
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
    """Move what a process left complete to its places; it may be broken off at any moment, and called again. Needs the claim."""
    complete = root / _COMPLETE
    if not complete.is_dir():
        return
    for name in replaced:
        if (complete / name).exists():
            former = complete / _FORMER / name
            former.parent.mkdir(exist_ok=True)
            _replace_folder(complete / name, root / name, former)
    for path in sorted(complete.rglob("*")):
        place = root / path.relative_to(complete)
        if path.is_file() and _FORMER not in path.relative_to(complete).parts and place.parent.is_dir():
            _replace_file(path, place)
    shutil.rmtree(complete)


def _replace_folder(new: Path, place: Path, former: Path) -> None:
    """Have `new` stand at `place`, and one of them be at `former` then; a folder that is mounted or linked there gets a copy."""
    if place.is_symlink() or place.is_mount():
        for path in place.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.copytree(new, place, dirs_exist_ok=True)
        new.rename(former)
        return
    if place.exists():
        place.rename(former)
    new.rename(place)


def _replace_file(new: Path, place: Path) -> None:
    try:
        new.replace(place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with whole_file(place) as partial:  # its folder is of another disk
            shutil.copyfile(new, partial)
        new.unlink()
