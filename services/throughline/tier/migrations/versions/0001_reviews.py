"""Rounds of review, their pairs and the answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "review_requests",
        sa.Column("request_id", sa.String(200), primary_key=True),
        sa.Column("job_id", sa.String(200), nullable=False, index=True),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("reminder", sa.Integer, nullable=False),
        sa.Column("received_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("job_id", sa.String(200), nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("callback_target", sa.String(300), nullable=False),
        sa.Column("callback_token", sa.String(300), nullable=False),
        sa.Column("deadline_ns", sa.BigInteger, nullable=False),
        sa.Column("reminders", sa.Integer, nullable=False),
        sa.UniqueConstraint("job_id", "round"),
    )
    op.create_table(
        "pairs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("review_id", sa.Integer, sa.ForeignKey("reviews.id"), nullable=False, index=True),
        sa.Column("pair_id", sa.String(200), nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.UniqueConstraint("review_id", "pair_id"),
    )
    op.create_table(
        "answers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("review_id", sa.Integer, sa.ForeignKey("reviews.id"), nullable=False, index=True),
        sa.Column("pair_id", sa.String(200), nullable=False),
        sa.Column("verdict", sa.String(10), nullable=False),
        sa.Column("annotator", sa.String(200), nullable=False),
        sa.Column("annotated_ns", sa.BigInteger, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("request_id", sa.String(200), nullable=False, index=True),
        sa.Column("sent_ns", sa.BigInteger),
        sa.Column("refused", sa.Text, nullable=False),
    )


def downgrade() -> None:
    for table in ("answers", "pairs", "reviews", "review_requests"):
        op.drop_table(table)
