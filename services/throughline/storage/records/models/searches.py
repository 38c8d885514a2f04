"""Tables of what jobs found: the query's tracks, candidates, and what they were ranked with."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from throughline.storage.records.models.base import Base, Words, job_key


class QueryTrack(Base):
    """A track that is the query's person, the best at position 0. The span is UTC."""

    __tablename__ = "query_tracks"

    job_id: Mapped[str] = job_key()
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    camera: Mapped[str] = mapped_column(Words)
    track_id: Mapped[int]
    tracks_key: Mapped[str] = mapped_column(String(64))
    start_ns: Mapped[int]
    end_ns: Mapped[int]


class CandidateTrack(Base):
    """A track that may be the query's person, with the evidence and its pair's clip (empty before it is rendered)."""

    __tablename__ = "candidates"

    job_id: Mapped[str] = job_key()
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    pair_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    rank: Mapped[int] = mapped_column(Integer)
    camera: Mapped[str] = mapped_column(Words)
    track_id: Mapped[int]
    tracks_key: Mapped[str] = mapped_column(String(64))
    start_ns: Mapped[int]
    end_ns: Mapped[int]
    similarity: Mapped[float]
    cosine: Mapped[float]
    time_gap_ns: Mapped[int]
    query_crop_uri: Mapped[str] = mapped_column(Words)
    candidate_crop_uri: Mapped[str] = mapped_column(Words)
    crop_cosine: Mapped[float]
    appearance: Mapped[float] = mapped_column(default=0.0)
    space_time: Mapped[str] = mapped_column(Words, default="")
    clip_uri: Mapped[str] = mapped_column(Words, default="")


class Search(Base):
    """What all rounds of a job search with: the located query's artifact, and the transits and the correction of the calibration (empty
    where there is none) that had been learned by the first one."""

    __tablename__ = "searches"

    job_id: Mapped[str] = job_key()
    query_uri: Mapped[str] = mapped_column(Words)
    query_key: Mapped[str] = mapped_column(String(64))
    learned: Mapped[list[Any]] = mapped_column(JSON)
    correction: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class RankedRound(Base):
    """How a round was ranked: the digest that the tracker names its calibration by, the tracks that were compared, and how many of them
    became candidates."""

    __tablename__ = "ranked_rounds"

    job_id: Mapped[str] = job_key()
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    calibrated_by: Mapped[str] = mapped_column(String(64))
    compared: Mapped[int] = mapped_column(Integer)
    candidates: Mapped[int] = mapped_column(Integer)


class ClockReading(Base):
    """What the clocks of two cameras, in order of name, showed at one moment, measured when a job first ranked: nanoseconds since
    1970 by each, one standard deviation of their difference, and how many pairs of tracks it was measured from: 0 where nothing was
    sure."""

    __tablename__ = "clock_readings"

    job_id: Mapped[str] = job_key()
    one: Mapped[str] = mapped_column(Words, primary_key=True)
    other: Mapped[str] = mapped_column(Words, primary_key=True)
    one_ns: Mapped[int]
    other_ns: Mapped[int]
    uncertainty_ns: Mapped[int]
    pairs: Mapped[int] = mapped_column(Integer)
