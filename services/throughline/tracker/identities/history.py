"""identity_history.json: what every run changed, and which numbers were given out."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from throughline.domain.errors import CorruptArtifact
from throughline.storage import documents
from throughline.tracker.identities.cells import cell_text
from throughline.tracker.identities.layout import HISTORY_FILE, MAP_FILE
from throughline.tracker.identities.stable import Key, Merge, Split


@dataclass(frozen=True, slots=True)
class Run:
    """One run that changed something. `asked`: digest of descriptors and settings."""

    number: int
    asked: str
    tracks: int
    identities: int
    added_videos: tuple[str, ...]
    removed_videos: tuple[str, ...]
    merges: tuple[Merge, ...]
    splits: tuple[Split, ...]
    skipped_videos: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Away:
    """The identities of a video that was left out: it gets them again when it can be used. Columns are as long as each other."""

    video: str
    tracks: tuple[int, ...]
    identities: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class History:
    """The content of identity_history.json. No number from `next_id` on was ever given out."""

    next_id: int = 1
    videos: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    away: tuple[Away, ...] = ()

    @property
    def away_ids(self) -> dict[Key, int]:
        """Identities of the tracks of videos that are away."""
        return {
            (each.video, track): identity
            for each in self.away
            for track, identity in zip(each.tracks, each.identities, strict=True)
        }


def away(before: Mapping[Key, int], skipped: Iterable[str]) -> tuple[Away, ...]:
    """What the videos `skipped` had before."""
    tracks: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for (video, track), identity in sorted(before.items()):
        tracks[video][track] = identity
    return tuple(
        Away(name, tuple(tracks[name]), tuple(tracks[name].values())) for name in sorted(skipped) if name in tracks
    )


def read_history(root: Path) -> History:
    """What earlier runs left; raise CorruptArtifact where it cannot be read."""
    path = root / HISTORY_FILE
    if not path.is_file():
        return History()
    try:
        return documents.load(History, path.read_bytes())
    except CorruptArtifact as error:
        raise CorruptArtifact(f"{path}: {error}; remove it and {MAP_FILE} to number everybody anew") from error


def read_map(root: Path) -> dict[Key, int]:
    """Identity of each track, as the last run wrote it; raise CorruptArtifact where the file cannot be read."""
    path = root / MAP_FILE
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {
                (cell_text(line["video"]), int(line["track_id"])): int(line["global_id"])
                for line in csv.DictReader(file)
            }
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise CorruptArtifact(
            f"{path} is no map of identities ({error!r}); remove it and {HISTORY_FILE} to number everybody anew"
        ) from error
