"""What the receiver was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "announcements",
        sa.Column("request_id", sa.String(200), primary_key=True),
        sa.Column("job_id", sa.String(200), nullable=False, index=True),
        sa.Column("received_ns", sa.BigInteger, nullable=False, index=True),
        sa.Column("document", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("announcements")
