"""Which track, and which pair of tracks: names that stay the same over rounds and thresholds, and what people said."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from throughline.domain.time import Interval


@dataclass(frozen=True, slots=True, order=True)
class TrackId:
    """One track of one camera: the key of its tracks artifact and its number within."""

    camera: str
    tracks_key: str
    number: int


@dataclass(frozen=True, slots=True)
class TrackSpan:
    """A track and when it was seen, in UTC with the clock map applied."""

    track: TrackId
    span: Interval


class Verdict(StrEnum):
    """What a person said of a pair."""

    VALID = "valid"
    INVALID = "invalid"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A track that may be the query's person, with the evidence.

    similarity: P(same person) at equal priors, 0..1; cosine and crop_cosine: -1..1; time_gap_ns: 0 where the tracks overlap;
    crop URIs: the most alike pair of crops, in the ranking's document by their names beside it. `appearance` is the similarity by
    looks alone as the model's own calibration gives it, `space_time` what space and time say of it, for people; empty where nothing
    is known.
    """

    pair_id: str
    track: TrackSpan
    similarity: float
    cosine: float
    time_gap_ns: int
    query_crop_uri: str
    candidate_crop_uri: str
    crop_cosine: float
    appearance: float = 0.0
    space_time: str = ""


def pair_id(query: TrackId, candidate: TrackId) -> str:
    """32 hexadecimal digits that name the pair of a query's best track and a candidate."""
    text = "\n".join(f"{track.camera}\t{track.tracks_key}\t{track.number}" for track in (query, candidate))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
