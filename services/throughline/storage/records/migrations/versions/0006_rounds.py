"""Rounds after the first, and what space and time say of candidates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("candidates", sa.Column("appearance", sa.Float(), nullable=False, server_default="0"))
    op.add_column("candidates", sa.Column("space_time", sa.Text(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("site", sa.String(128), nullable=False, server_default=""))
    op.create_index("jobs_by_site", "jobs", ["site", "created_ns"])
    op.add_column("job_requests", sa.Column("topology_yaml", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "searches",
        sa.Column("job_id", sa.String(40), sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("query_uri", sa.Text(), nullable=False),
        sa.Column("query_key", sa.String(64), nullable=False),
        sa.Column("learned", sa.JSON(), nullable=False),
    )
    op.create_table(
        "next_rounds",
        sa.Column("job_id", sa.String(40), sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("round", sa.Integer(), primary_key=True),
        sa.Column("requested_ns", sa.BigInteger(), nullable=False),
        sa.Column("enqueued", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_next_rounds_enqueued", "next_rounds", ["enqueued"])


def downgrade() -> None:
    op.drop_table("next_rounds")
    op.drop_table("searches")
    op.drop_column("job_requests", "topology_yaml")
    op.drop_index("jobs_by_site", "jobs")
    op.drop_column("jobs", "site")
    op.drop_column("candidates", "space_time")
    op.drop_column("candidates", "appearance")
