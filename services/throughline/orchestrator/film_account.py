"""What a film's timeline.json says, as far as evidence needs it; the renderer writes it, and says more."""

from __future__ import annotations

from dataclasses import dataclass

from throughline.domain.evidence import Method
from throughline.domain.time import Interval

DOCUMENT = "timeline.json"


@dataclass(frozen=True, slots=True)
class Tile:
    """One camera in a segment."""

    camera: str


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a segment that was made in one way. `camera_time` is of a copied one, in `part` of the camera's reel."""

    film_start_ns: int
    film_end_ns: int
    method: Method
    camera: str | None = None
    part: int | None = None
    camera_time: Interval | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """[film_start_ns, film_end_ns) of the film shows `utc`. Without runs all of it was encoded."""

    film_start_ns: int
    film_end_ns: int
    utc: Interval
    tiles: tuple[Tile, ...]
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True, slots=True)
class FilmAccount:
    """The film as the renderer made it."""

    made_of: str
    duration_ns: int
    segments: tuple[Segment, ...]
