"""What answers teach of a site's similarities."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("searches", sa.Column("correction", sa.JSON(), nullable=False, server_default="{}"))
    op.create_table(
        "ranked_rounds",
        sa.Column("job_id", sa.String(40), sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("round", sa.Integer(), primary_key=True),
        sa.Column("calibrated_by", sa.String(64), nullable=False),
        sa.Column("compared", sa.Integer(), nullable=False),
        sa.Column("candidates", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("ranked_rounds")
    op.drop_column("searches", "correction")
