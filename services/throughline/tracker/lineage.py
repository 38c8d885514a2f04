"""What each track of an artifact is made of, and why: lineage.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.tracker.join import Join, chains

LINEAGE_FILE = "lineage.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """A part as it was cut from an association's track `raw_track`, from the camera's time `start` on; `divided`: whether that
    is where the looks changed, else it is where the track began."""

    number: int
    raw_track: int
    start: Instant
    divided: bool


@dataclass(frozen=True, slots=True)
class LineagePart:
    """A stretch of an association's track. `begins`: with that track, or where it was divided by looks. `joined`: why it goes on from
    the part before it; None for a track's first."""

    raw_track: int
    start: Instant
    begins: Literal["track", "divided by looks"]
    joined: JoinedBecause | None


@dataclass(frozen=True, slots=True)
class JoinedBecause:
    """Seconds out of sight; what the motions cost, 0 where they meet exactly; the probability of the same person by looks, None where
    motion alone decided."""

    gap_seconds: float
    cost: float
    likelihood: float | None


@dataclass(frozen=True, slots=True)
class TrackLineage:
    """One track of the artifact and its parts in order of time."""

    track_id: int
    parts: tuple[LineagePart, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """The content of lineage.json."""

    tracks: tuple[TrackLineage, ...]


def lineage(origins: Sequence[Origin], joined: Sequence[Join]) -> Lineage:
    """The lineage of tracks whose parts were joined; ids count from 1 in order of their first parts."""
    by_number = {each.number: each for each in origins}
    why = {
        each.after: JoinedBecause(each.gap_ns / NS_PER_SECOND, round(each.cost, 4), each.likelihood) for each in joined
    }

    def part(number: int) -> LineagePart:
        origin = by_number[number]
        return LineagePart(
            origin.raw_track, origin.start, "divided by looks" if origin.divided else "track", why.get(number)
        )

    return Lineage(
        tuple(
            TrackLineage(track_id, tuple(part(number) for number in chain))
            for track_id, chain in enumerate(chains(sorted(by_number), joined), start=1)
        )
    )
