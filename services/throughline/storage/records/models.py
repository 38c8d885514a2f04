"""The tables. Times are int64 nanoseconds of UTC; words of enumerations stand in lower case, such as `waiting_for_review`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Words(TypeDecorator[str]):
    """Text that came from outside. Postgres takes no NUL in it, so that is replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value.replace("\0", "\ufffd") if value is not None else None


class Base(DeclarativeBase):
    """All tables of the records."""

    type_annotation_map = {  # noqa: RUF012
        int: BigInteger,
        float: Float,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[int]: JSON,
        bytes: LargeBinary,
    }


def _job_key() -> Mapped[str]:
    return mapped_column(ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True)


class Job(Base):
    """One job. `version` grows with every change of it or of anything below it that callers can see."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_newest_first", "created_ns", "job_id"),
        Index("jobs_by_state", "state", "created_ns"),
        Index("jobs_by_site", "site", "created_ns"),
    )

    job_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    request_id: Mapped[str] = mapped_column(String(128), unique=True)
    request_digest: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(24))
    stage: Mapped[str] = mapped_column(String(24))
    created_ns: Mapped[int]
    ended_ns: Mapped[int]
    footage_uri: Mapped[str] = mapped_column(Words)
    camera: Mapped[str] = mapped_column(Words)
    query_label: Mapped[str] = mapped_column(Words)
    site: Mapped[str] = mapped_column(String(128), default="")
    query_iou: Mapped[float]
    error: Mapped[str] = mapped_column(Words)
    labels: Mapped[dict[str, Any]]
    callback_token: Mapped[str] = mapped_column(String(64))
    enqueued: Mapped[bool] = mapped_column(index=True)
    version: Mapped[int]


class JobRequest(Base):
    """What was asked for: the SubmitJobRequest as it came (protobuf), the query's JSON, fetched where it was given by URI, and the
    topology, the deployment's of that moment where the request has none."""

    __tablename__ = "job_requests"

    job_id: Mapped[str] = _job_key()
    request: Mapped[bytes]
    query_json: Mapped[str] = mapped_column(Words)
    topology_yaml: Mapped[str] = mapped_column(Words, default="")


class JobModel(Base):
    """A model that a job is pinned to: its name in the model repository, and the SHA-256 of its files."""

    __tablename__ = "job_models"

    job_id: Mapped[str] = _job_key()
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))


class JobCamera(Base):
    """One camera of a job and what was made of it; URIs are empty before."""

    __tablename__ = "job_cameras"

    job_id: Mapped[str] = _job_key()
    camera: Mapped[str] = mapped_column(Words, primary_key=True)
    reel_uri: Mapped[str] = mapped_column(Words, default="")
    reel_key: Mapped[str] = mapped_column(String(64), default="")
    tracks_uri: Mapped[str] = mapped_column(Words, default="")
    tracks_key: Mapped[str] = mapped_column(String(64), default="")


class JobTask(Base):
    """A part of a job that runs beside others: `camera/<name>` or `pairs/<number>`. `outcome` is empty, done or failed."""

    __tablename__ = "job_tasks"

    job_id: Mapped[str] = _job_key()
    name: Mapped[str] = mapped_column(Words, primary_key=True)
    outcome: Mapped[str] = mapped_column(String(8), default="")
    error: Mapped[str] = mapped_column(Words, default="")


class JobIncident(Base):
    """Something that went wrong without sinking the job."""

    __tablename__ = "job_incidents"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.job_id", ondelete="CASCADE"), index=True)
    code: Mapped[str] = mapped_column(Words)
    subject: Mapped[str] = mapped_column(Words)
    message: Mapped[str] = mapped_column(Words)
    camera: Mapped[str] = mapped_column(Words)
    stage: Mapped[str] = mapped_column(String(24))


class JobProgress(Base):
    """How far a stage has come on one camera (empty: on the whole)."""

    __tablename__ = "job_progress"

    job_id: Mapped[str] = _job_key()
    stage: Mapped[str] = mapped_column(String(24), primary_key=True)
    camera: Mapped[str] = mapped_column(Words, primary_key=True)
    done: Mapped[int]
    total: Mapped[int]
    unit: Mapped[str] = mapped_column(String(40))
    rate: Mapped[float]
    seconds_left: Mapped[float]


class JobWait(Base):
    """A step that can't be done at present and is tried again at `next_ns`.

    `camera` and `number` tell steps of one name apart that are at work side by side. `spent_seconds` of its patience are gone;
    `reached`: the farthest that an attempt has come, in units of progress.
    """

    __tablename__ = "job_waits"

    job_id: Mapped[str] = _job_key()
    step: Mapped[str] = mapped_column(String(40), primary_key=True)
    camera: Mapped[str] = mapped_column(Words, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    stage: Mapped[str] = mapped_column(String(24))
    reason: Mapped[str] = mapped_column(Words)
    since_ns: Mapped[int]
    attempts: Mapped[int]
    next_ns: Mapped[int]
    spent_seconds: Mapped[float]
    reached: Mapped[dict[str, Any]]


class StageRun(Base):
    """One answered call of a stage. `runs` counts what it really did: reels made, clips rendered; 0 where all was found ready."""

    __tablename__ = "stage_runs"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.job_id", ondelete="CASCADE"), index=True)
    stage: Mapped[str] = mapped_column(String(24))
    subject: Mapped[str] = mapped_column(Words)
    started_ns: Mapped[int]
    ended_ns: Mapped[int]
    runs: Mapped[int] = mapped_column(Integer)


class QueryTrack(Base):
    """A track that is the query's person, the best at position 0. The span is UTC."""

    __tablename__ = "query_tracks"

    job_id: Mapped[str] = _job_key()
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    camera: Mapped[str] = mapped_column(Words)
    track_id: Mapped[int]
    tracks_key: Mapped[str] = mapped_column(String(64))
    start_ns: Mapped[int]
    end_ns: Mapped[int]


class CandidateTrack(Base):
    """A track that may be the query's person, with the evidence and its pair's clip (empty before it is rendered)."""

    __tablename__ = "candidates"

    job_id: Mapped[str] = _job_key()
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

    job_id: Mapped[str] = _job_key()
    query_uri: Mapped[str] = mapped_column(Words)
    query_key: Mapped[str] = mapped_column(String(64))
    learned: Mapped[list[Any]] = mapped_column(JSON)
    correction: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class RankedRound(Base):
    """How a round was ranked: the digest that the tracker names its calibration by, the tracks that were compared, and how many of them
    became candidates."""

    __tablename__ = "ranked_rounds"

    job_id: Mapped[str] = _job_key()
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    calibrated_by: Mapped[str] = mapped_column(String(64))
    compared: Mapped[int] = mapped_column(Integer)
    candidates: Mapped[int] = mapped_column(Integer)


class ClockReading(Base):
    """What the clocks of two cameras, in order of name, showed at one moment, measured when a job first ranked: nanoseconds since
    1970 by each, one standard deviation of their difference, and how many pairs of tracks it was measured from: 0 where nothing was
    sure."""

    __tablename__ = "clock_readings"

    job_id: Mapped[str] = _job_key()
    one: Mapped[str] = mapped_column(Words, primary_key=True)
    other: Mapped[str] = mapped_column(Words, primary_key=True)
    one_ns: Mapped[int]
    other_ns: Mapped[int]
    uncertainty_ns: Mapped[int]
    pairs: Mapped[int] = mapped_column(Integer)


class NextRound(Base):
    """A round after the first that was asked for when the one before it closed."""

    __tablename__ = "next_rounds"

    job_id: Mapped[str] = _job_key()
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    requested_ns: Mapped[int]
    enqueued: Mapped[bool] = mapped_column(index=True)


class ReviewRound(Base):
    """A round of review. `sent_ns` is 0 before the tier has it, `closed_ns` 0 while it is open, `next_reminder_ns` 0 without one."""

    __tablename__ = "review_rounds"
    __table_args__ = (
        Index("review_rounds_by_deadline", "closed_ns", "deadline_ns"),
        Index("review_rounds_by_reminder", "closed_ns", "next_reminder_ns"),
    )

    job_id: Mapped[str] = _job_key()
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    opened_ns: Mapped[int]
    sent_ns: Mapped[int]
    deadline_ns: Mapped[int]
    closed_ns: Mapped[int]
    outcome: Mapped[str] = mapped_column(String(16))
    reminders: Mapped[int] = mapped_column(Integer)
    next_reminder_ns: Mapped[int]


class Answer(Base):
    """What a person said of a pair; `late` where the round had closed."""

    __tablename__ = "answers"
    __table_args__ = (Index("answers_by_pair", "job_id", "round", "pair_id"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.job_id", ondelete="CASCADE"))
    round: Mapped[int] = mapped_column(Integer)
    pair_id: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(8))
    annotator: Mapped[str] = mapped_column(Words)
    annotated_ns: Mapped[int]
    received_ns: Mapped[int]
    comment: Mapped[str] = mapped_column(Words)
    late: Mapped[bool]


class Callback(Base):
    """An AnnotationResult that was taken, and what was answered (protobuf); the same request_id gets the same answer."""

    __tablename__ = "callbacks"

    request_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.job_id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(String(64))
    response: Mapped[bytes]


class Film(Base):
    """A film of a job: which pairs it shows and which answers said so, fixed when it was asked for, and what came of it.

    `state` is requested, ready or failed; `answer_ids` is missing of films that were asked for before it was kept.
    """

    __tablename__ = "films"
    __table_args__ = (UniqueConstraint("request_id"),)

    job_id: Mapped[str] = _job_key()
    revision: Mapped[int] = mapped_column(Integer, primary_key=True)
    request_id: Mapped[str | None] = mapped_column(String(128))
    requested_ns: Mapped[int]
    pair_ids: Mapped[list[str]]
    answer_ids: Mapped[list[int] | None]
    partial: Mapped[bool]
    query_only: Mapped[bool]
    state: Mapped[str] = mapped_column(String(12))
    enqueued: Mapped[bool] = mapped_column(index=True)
    film_uri: Mapped[str] = mapped_column(Words, default="")
    timeline_json_uri: Mapped[str] = mapped_column(Words, default="")
    contact_sheet_uri: Mapped[str] = mapped_column(Words, default="")
    evidence_uri: Mapped[str] = mapped_column(Words, default="")
    duration_ns: Mapped[int] = mapped_column(BigInteger, default=0)


class Executor(Base):
    """An executor that is alive. Starting it again makes another `life` under the same name; a life that is gone stays gone."""

    __tablename__ = "executors"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    life: Mapped[str] = mapped_column(String(160), unique=True)
    beat: Mapped[int]
