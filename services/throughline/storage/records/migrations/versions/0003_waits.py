"""What jobs wait for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_waits",
        sa.Column("job_id", sa.String(40), sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("step", sa.String(40), primary_key=True),
        sa.Column("camera", sa.Text(), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True),
        sa.Column("stage", sa.String(24), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since_ns", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_ns", sa.BigInteger(), nullable=False),
        sa.Column("spent_seconds", sa.Float(), nullable=False),
        sa.Column("reached", sa.JSON(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("job_waits")
