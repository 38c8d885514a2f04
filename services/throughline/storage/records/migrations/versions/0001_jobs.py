"""Jobs, their cameras, pairs, answers and films."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(name: str, length: int = 0, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.String(length) if length else sa.Text(), nullable=False, **options)


def _number(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, **options)


def _small(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, **options)


def _float(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Float(), nullable=False)


def _flag(name: str, **options: Any) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, **options)


def _job(**options: Any) -> sa.Column[str]:
    return sa.Column(
        "job_id", sa.String(40), sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False, **options
    )


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer(), primary_key=True)


def _track() -> tuple[sa.Column[Any], ...]:
    return _text("camera"), _number("track_id"), _text("tracks_key", 64), _number("start_ns"), _number("end_ns")


def upgrade() -> None:
    _create_jobs()
    _create_work()
    _create_people()


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        _text("job_id", 40, primary_key=True),
        _text("request_id", 128, unique=True),
        _text("request_digest", 64),
        _text("state", 24),
        _text("stage", 24),
        _number("created_ns"),
        _number("ended_ns"),
        _text("footage_uri"),
        _text("camera"),
        _text("query_label"),
        _float("query_iou"),
        _text("error"),
        sa.Column("labels", sa.JSON(), nullable=False),
        _text("callback_token", 64),
        _flag("enqueued", index=True),
        _number("version"),
        sa.Index("jobs_newest_first", "created_ns", "job_id"),
        sa.Index("jobs_by_state", "state", "created_ns"),
    )
    op.create_table(
        "job_requests",
        _job(primary_key=True),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        _text("query_json"),
    )


def _create_work() -> None:
    op.create_table(
        "job_cameras",
        _job(primary_key=True),
        _text("camera", primary_key=True),
        _text("reel_uri"),
        _text("reel_key", 64),
        _text("tracks_uri"),
        _text("tracks_key", 64),
    )
    op.create_table(
        "job_tasks", _job(primary_key=True), _text("name", primary_key=True), _text("outcome", 8), _text("error")
    )
    op.create_table(
        "job_incidents",
        _id(),
        _job(index=True),
        _text("code"),
        _text("subject"),
        _text("message"),
        _text("camera"),
        _text("stage", 24),
    )
    op.create_table(
        "job_progress",
        _job(primary_key=True),
        _text("stage", 24, primary_key=True),
        _text("camera", primary_key=True),
        _number("done"),
        _number("total"),
        _text("unit", 40),
        _float("rate"),
        _float("seconds_left"),
    )
    op.create_table(
        "stage_runs",
        _id(),
        _job(index=True),
        _text("stage", 24),
        _text("subject"),
        _number("started_ns"),
        _number("ended_ns"),
        _small("runs"),
    )


def _create_people() -> None:
    op.create_table(
        "query_tracks",
        _job(primary_key=True),
        _small("position", primary_key=True),
        *_track(),
    )
    op.create_table(
        "candidates",
        _job(primary_key=True),
        _small("round", primary_key=True),
        _text("pair_id", 64, primary_key=True),
        _small("rank"),
        *_track(),
        _float("similarity"),
        _float("cosine"),
        _number("time_gap_ns"),
        _text("query_crop_uri"),
        _text("candidate_crop_uri"),
        _float("crop_cosine"),
        _text("clip_uri"),
    )
    op.create_table(
        "review_rounds",
        _job(primary_key=True),
        _small("round", primary_key=True),
        _number("opened_ns"),
        _number("sent_ns"),
        _number("deadline_ns"),
        _number("closed_ns"),
        _text("outcome", 16),
        _small("reminders"),
        _number("next_reminder_ns"),
        sa.Index("review_rounds_by_deadline", "closed_ns", "deadline_ns"),
        sa.Index("review_rounds_by_reminder", "closed_ns", "next_reminder_ns"),
    )
    op.create_table(
        "answers",
        _id(),
        _job(),
        _small("round"),
        _text("pair_id", 64),
        _text("verdict", 8),
        _text("annotator"),
        _number("annotated_ns"),
        _number("received_ns"),
        _text("comment"),
        _flag("late"),
        sa.Index("answers_by_pair", "job_id", "round", "pair_id"),
    )
    op.create_table(
        "callbacks",
        _text("request_id", 128, primary_key=True),
        _job(),
        _text("digest", 64),
        sa.Column("response", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "films",
        _job(primary_key=True),
        _small("revision", primary_key=True),
        sa.Column("request_id", sa.String(128), unique=True),
        _number("requested_ns"),
        sa.Column("pair_ids", sa.JSON(), nullable=False),
        _flag("partial"),
        _flag("query_only"),
        _text("state", 12),
        _flag("enqueued", index=True),
        _text("film_uri"),
        _text("timeline_json_uri"),
        _text("contact_sheet_uri"),
        _number("duration_ns"),
    )


def downgrade() -> None:
    for table in (
        *("films", "callbacks", "answers", "review_rounds", "candidates", "query_tracks"),
        *("stage_runs", "job_progress", "job_incidents", "job_tasks", "job_cameras", "job_requests", "jobs"),
    ):
        op.drop_table(table)
