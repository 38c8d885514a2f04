"""What is sworn to of one film: where every moment of it came from, who confirmed whom, and digests of all that it rests on.

Everything here can be said in JSON without floats: scores stand as decimal text, so that the same value is always the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from throughline.domain.pairs import TrackSpan
from throughline.domain.time import Instant, Interval
from throughline.domain.work import Incident

FORMAT = "throughline-evidence/1"


class Method(StrEnum):
    """How a stretch of the film was made: the camera's own bits, or pictures that were decoded and encoded anew."""

    COPIED = "copied"
    ENCODED = "encoded"


class Role(StrEnum):
    """What a file of the workspace is to the film."""

    FILM = "film"
    COMPANION = "companion"
    """Lies beside the film: timeline.json, the contact sheet."""
    QUERY = "query"
    LISTING = "listing"
    """Everything that lay below the footage's URI when the job was submitted."""
    REEL = "reel"
    """A part of a reel, or the account of what it was made of."""
    TRACKS = "tracks"
    RANKING = "ranking"
    """Of a round: its candidates with what they were ranked by, or the scores of all tracks."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose signature it is. `public_key`: its 32 bytes in base64; `key_id`: the first 16 hexadecimal digits of their SHA-256."""

    algorithm: str
    key_id: str
    public_key: str


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What was asked for. `options` as they came, what was left to its default left out; `request_sha256` is of the request's protobuf,
    `topology_sha256` of the text of the topology, the deployment's where the job brought none; empty without one."""

    job_id: str
    request_id: str
    request_sha256: str
    submitted: Instant
    footage_uri: str
    options: dict[str, Any]
    topology_sha256: str = ""


@dataclass(frozen=True, slots=True)
class QueryFacts:
    """The person that was asked for, and which tracks of the camera they are. `sha256` is of query.json, its exact text."""

    camera: str
    label: str
    sha256: str
    iou: str
    tracks: tuple[TrackSpan, ...]


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """The film. `made_of`: the renderer's digest of tracks, reels, clocks and options."""

    revision: int
    requested: Instant
    duration_ns: int
    partial: bool
    query_only: bool
    made_of: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What a person said of a pair. `counted`: this is the answer that decided; `late`: it came after the round had closed."""

    verdict: str
    annotator: str
    said: Instant
    received: Instant
    comment: str
    late: bool
    counted: bool


@dataclass(frozen=True, slots=True)
class PairFacts:
    """A pair that people answered. `shown`: the film shows its candidate; scores as decimal text; `rank` within its `round`;
    `appearance`: the similarity by looks alone, and `space_time` what times and places say, where they made it another; both empty in
    older evidence."""

    pair_id: str
    rank: int
    candidate: TrackSpan
    similarity: str
    cosine: str
    shown: bool
    answers: tuple[Statement, ...]
    round: int = 1
    appearance: str = ""
    space_time: str = ""


@dataclass(frozen=True, slots=True)
class CalibrationFacts:
    """What turned likenesses into probabilities. `knots`: of the piecewise linear map, likeness and probability as decimal text;
    `fitted_on`: the labelled data, with so many pairs."""

    fitted_on: str
    same_pairs: int
    different_pairs: int
    knots: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CorrectionFacts:
    """What the site's reviewers had taught of the calibration: log odds become `offset` + `slope` times themselves."""

    offset: str
    slope: str
    valid: int
    invalid: int
    jobs: int


@dataclass(frozen=True, slots=True)
class RankingFacts:
    """How a round was ranked; 0 is the first pass of a fast search. `reid`: digest of the model; `likeness`: what its calibration, None
    where it has none, is for; `learned_transits`: from so many ways between cameras earlier jobs had taught the times; `rerank`:
    whether candidates were put in order, and cut, by their neighbours."""

    round: int
    threshold: str
    scale: str
    max_candidates: int
    reid: str
    likeness: str
    calibration: CalibrationFacts | None
    learned_transits: int
    correction: CorrectionFacts | None = None
    rerank: bool = False


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A file of the workspace. `camera` is empty where it is of no single one; `part`: which part of the camera's reel it is."""

    role: Role
    name: str
    uri: str
    size_bytes: int
    sha256: str
    camera: str = ""
    part: int | None = None


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """The clock map that was applied: UTC = camera time + offset + drift since the reference."""

    offset_ns: int
    drift_ppb: int
    reference: Instant
    uncertainty_ns: int


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """A camera that the film shows. `models`: digests by name; `gaps`: spans of UTC without footage between its first and last
    moment in the film; `incidents`: what its reel and its tracks tell of."""

    camera: str
    clock: ClockFacts
    reel_key: str
    tracks_key: str
    analysis_rate: str
    models: dict[str, str]
    gaps: tuple[Interval, ...]
    incidents: tuple[Incident, ...]


@dataclass(frozen=True, slots=True)
class SourceObject:
    """A chunk that the film shows, as it was when the job pinned it.

    `stated`: the time of its first frame by `time_source`, give or take `uncertainty_ns`; `snapped_ns`: how far it was moved from
    there; `camera_time` and `utc`: what it covers. A frame with the PTS p is shown at the start of `camera_time` +
    (p - `first_pts_ns`) * (1 + `stretch_ppb` / 10^9).
    """

    camera: str
    name: str
    uri: str
    etag: str
    version_id: str
    size_bytes: int
    sha256: str
    stated: Instant | None
    time_source: str
    uncertainty_ns: int
    snapped_ns: int
    first_pts_ns: int
    stretch_ppb: int
    camera_time: Interval
    utc: Interval
    frame_count: int
    undecodable_frames: int
    dropped_frames: int
    problem: str


@dataclass(frozen=True, slots=True)
class ByteRange:
    """[start, end) of `sources[source]`'s file, the groups of pictures that are needed. Both None where the reel does not know."""

    source: int
    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class TileFacts:
    """One camera in a span: the part of its reel (None between parts), the camera's own time, UTC, and the bytes it came from."""

    camera: str
    part: int | None
    camera_time: Interval
    utc: Interval
    bytes: tuple[ByteRange, ...]


@dataclass(frozen=True, slots=True)
class SpanFacts:
    """[film_start_ns, film_end_ns) of the film."""

    film_start_ns: int
    film_end_ns: int
    method: Method
    utc: Interval
    tiles: tuple[TileFacts, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The content of evidence.json, without its signature. `signer` is None where nobody signed."""

    format: str
    product: str
    written: Instant
    signer: Signer | None
    workspace_uri: str
    job: JobFacts
    query: QueryFacts
    film: FilmFacts
    spans: tuple[SpanFacts, ...]
    sources: tuple[SourceObject, ...]
    cameras: tuple[CameraFacts, ...]
    pairs: tuple[PairFacts, ...]
    files: tuple[EvidenceFile, ...]
    incidents: tuple[Incident, ...]
    rankings: tuple[RankingFacts, ...] = ()
    """None in evidence of earlier releases."""

    def spans_on(self, camera: str, part: int | None = None) -> tuple[SpanFacts, ...]:
        """Spans that show a camera, or one part of its reel."""
        return tuple(
            span
            for span in self.spans
            if any(tile.camera == camera and part in (None, tile.part) for tile in span.tiles)
        )

    def spans_of(self, source: int) -> tuple[SpanFacts, ...]:
        """Spans that were made from a source object, by its index."""
        return tuple(
            span for span in self.spans if any(each.source == source for tile in span.tiles for each in tile.bytes)
        )

    def holes(self) -> Iterator[tuple[int, int]]:
        """Stretches of the film, in ns, that no span covers or two do; none where the account is whole."""
        reached = 0
        for span in self.spans:
            if span.film_start_ns != reached:
                yield min(reached, span.film_start_ns), max(reached, span.film_start_ns)
            reached = span.film_end_ns
        if reached != self.film.duration_ns:
            yield min(reached, self.film.duration_ns), max(reached, self.film.duration_ns)
