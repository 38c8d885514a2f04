"""Tables of jobs: what was asked for, how far each has come, and what went wrong."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from throughline.storage.records.models.base import Base, Words, job_key


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

    job_id: Mapped[str] = job_key()
    request: Mapped[bytes]
    query_json: Mapped[str] = mapped_column(Words)
    topology_yaml: Mapped[str] = mapped_column(Words, default="")


class JobModel(Base):
    """A model that a job is pinned to: its name in the model repository, and the SHA-256 of its files."""

    __tablename__ = "job_models"

    job_id: Mapped[str] = job_key()
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))


class JobCamera(Base):
    """One camera of a job and what was made of it; URIs are empty before."""

    __tablename__ = "job_cameras"

    job_id: Mapped[str] = job_key()
    camera: Mapped[str] = mapped_column(Words, primary_key=True)
    reel_uri: Mapped[str] = mapped_column(Words, default="")
    reel_key: Mapped[str] = mapped_column(String(64), default="")
    tracks_uri: Mapped[str] = mapped_column(Words, default="")
    tracks_key: Mapped[str] = mapped_column(String(64), default="")


class JobTask(Base):
    """A part of a job that runs beside others: `camera/<name>` or `pairs/<number>`. `outcome` is empty, done or failed."""

    __tablename__ = "job_tasks"

    job_id: Mapped[str] = job_key()
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

    job_id: Mapped[str] = job_key()
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

    job_id: Mapped[str] = job_key()
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
