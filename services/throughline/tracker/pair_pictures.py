"""The pictures of a ranking's pairs, kept with their job: what people are shown is there as long as what they answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from throughline.domain.errors import CorruptArtifact, NotFound, ThroughlineError
from throughline.storage.pictures import StoredPicture

_FOLDER = "crops"
_AT_ONCE = 8


class TrackPicture(NamedTuple):
    """A crop of a track at a time of its camera."""

    stored: StoredPicture
    track_id: int
    time_ns: int

    @property
    def file(self) -> str:
        """Where it is kept, relative to a ranking's folder: crops/<tracks key>/<track>-<time>.jpg."""
        return f"{_FOLDER}/{self.stored.artifact.key}/{self.track_id:06d}-{self.time_ns}.jpg"


@dataclass(frozen=True)
class PairPictures:
    """Copies pictures into `place`, each once; none of a ranking whose candidates nobody is shown, which are not `kept`."""

    place: Path
    kept: bool = True
    _wanted: dict[str, StoredPicture] = field(default_factory=dict)

    def add(self, picture: TrackPicture) -> str:
        """Keep one more; return its file, which is there once all are saved, or nothing."""
        if not self.kept:
            return ""
        self._wanted[picture.file] = picture.stored
        return picture.file

    def save(self) -> dict[str, ThroughlineError]:
        """Copy them, several at once: in S3 each is a request. Return why some cannot be read, by their files."""
        failed: dict[str, ThroughlineError] = {}
        with ThreadPoolExecutor(_AT_ONCE, "pictures") as pool:
            for file, content in zip(self._wanted, pool.map(_content, self._wanted.values()), strict=True):
                if isinstance(content, ThroughlineError):
                    failed[file] = content
                    continue
                path = self.place / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return failed


def _content(picture: StoredPicture) -> bytes | ThroughlineError:
    try:
        return picture.read()
    except (CorruptArtifact, NotFound) as error:
        return error
