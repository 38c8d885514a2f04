"""Small disks that can be filled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

MEGABYTE = 2**20
SIZE = 256 * MEGABYTE


@dataclass(frozen=True)
class Disk:
    """A disk of SIZE bytes."""

    place: Path

    @property
    def _ballast(self) -> Path:
        return self.place / ".ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            for size in (MEGABYTE, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


@contextmanager
def mounted(place: Path) -> Iterator[Disk]:
    """An empty disk at `place`, which is made; the test is skipped where that isn't allowed."""
    place.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("small disks can't be mounted here: it takes the right to mount a tmpfs")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
