"""Pictures of crops, those of a camera one after the other in one file: as files of their own, thousands of them would cost more to
make, to flush and to upload than what they hold."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from throughline.domain.errors import CorruptArtifact
from throughline.storage.workspace import Artifact

PICTURES_FILE = "crops.mjpeg"
_PART = re.compile(r"(?P<file>[^#]+)#(?P<first>\d{1,18})\+(?P<size>\d{1,18})")


class PictureWriter:
    """Writes crops.mjpeg into a folder. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / PICTURES_FILE).open("wb")
        self._size = 0

    def add(self, jpeg: bytes) -> str:
        """Write one more; return its name, crops.mjpeg#FIRST+COUNT: the place of its first byte, and how many they are."""
        name = f"{PICTURES_FILE}#{self._size}+{len(jpeg)}"
        self._file.write(jpeg)
        self._size += len(jpeg)
        return name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()


class StoredPicture(NamedTuple):
    """A JPEG of an artifact: a part of a file, by the name that a PictureWriter gave it, or a file of its own, as older ones are."""

    artifact: Artifact
    name: str

    def read(self) -> bytes:
        """Its bytes; raise CorruptArtifact or NotFound where they are not there."""
        part = _PART.fullmatch(self.name)
        if part is None:
            return self.artifact.path(self.name).read_bytes()
        found = self.artifact.read_part(part["file"], int(part["first"]), int(part["size"]))
        if not (found.startswith(b"\xff\xd8") and found.endswith(b"\xff\xd9")):
            raise CorruptArtifact(
                f"{self.artifact.uri}{self.name} is no JPEG; remove {self.artifact.uri} and run again"
            )
        return found
