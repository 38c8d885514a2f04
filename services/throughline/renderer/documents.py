"""The JSON documents that lie beside a clip and a film, and say what each moment of it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from throughline.domain.geometry import Size
from throughline.domain.pairs import TrackId
from throughline.domain.time import Instant, Interval
from throughline.domain.work import Incident
from throughline.renderer.layout import Rectangle


@dataclass(frozen=True, slots=True)
class Piece:
    """Footage without a break: from `clip_start_ns` of the clip on it shows `utc`, by the camera's own clock `camera_time`."""

    clip_start_ns: int
    camera: str
    utc: Interval
    camera_time: Interval


@dataclass(frozen=True, slots=True)
class Half:
    """One half of a pair's clip. After `duration_ns` its last picture stands still. `cut_ns`: how much was left out, for length."""

    camera: str
    tracks: tuple[TrackId, ...]
    duration_ns: int
    cut_ns: int
    note: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class PairDocument:
    """pair.json: what clip.mp4 shows. Both halves start together at 0."""

    pair_id: str
    clip: str
    size: Size
    duration_ns: int
    query: Half
    candidate: Half


@dataclass(frozen=True, slots=True)
class FilmTile:
    """One camera in a segment of the film; `picture` is where it lies on the canvas, without its caption."""

    camera: str
    tracks: tuple[TrackId, ...]
    utc: Interval
    camera_time: Interval
    picture: Rectangle


@dataclass(frozen=True, slots=True)
class FilmRun:
    """[film_start_ns, film_end_ns) of the film was made in one way: copied from the camera's own bits, or encoded anew.

    camera, part, camera_time: the part of the reel that it shows, by its index, and the camera's own time. They are given where a
    single camera is shown, and left out where several were composed; those are the segment's tiles.
    """

    film_start_ns: int
    film_end_ns: int
    method: Literal["copied", "encoded"]
    camera: str | None = None
    part: int | None = None
    camera_time: Interval | None = None


@dataclass(frozen=True, slots=True)
class FilmSegment:
    """[film_start_ns, film_end_ns) of the film shows `utc` through `tiles`; `waiting`: cameras that had no free tile. `runs` follow
    each other from its start to its end."""

    film_start_ns: int
    film_end_ns: int
    utc: Interval
    tiles: tuple[FilmTile, ...]
    waiting: tuple[str, ...]
    runs: tuple[FilmRun, ...] = ()


@dataclass(frozen=True, slots=True)
class AppearanceDocument:
    """One camera saw the person, without a break; `best`: when the picture on the contact sheet was taken."""

    camera: str
    tracks: tuple[TrackId, ...]
    utc: Interval
    camera_time: Interval
    best: Instant


@dataclass(frozen=True, slots=True)
class BoxTrack:
    """Boxes of one track in one segment of the film, by its index: `times_ns` of the film, and xyxy in pixels of the film."""

    segment: int
    camera: str
    track: int
    times_ns: tuple[int, ...]
    boxes: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class BoxesDocument:
    """boxes.json: where the person stands in film.mp4, to be drawn over it. Between two boxes at most `max_gap_ns` apart a player
    goes from one to the other in a straight line; where more lies between them it draws none."""

    size: Size
    max_gap_ns: int
    tracks: tuple[BoxTrack, ...]


@dataclass(frozen=True, slots=True)
class TimelineDocument:
    """timeline.json: what film.mp4 shows. `made_of` is a digest of everything that went into it."""

    job_id: str
    revision: int
    made_of: str
    film: str
    size: Size
    duration_ns: int
    segments: tuple[FilmSegment, ...]
    appearances: tuple[AppearanceDocument, ...]
    incidents: tuple[Incident, ...]
