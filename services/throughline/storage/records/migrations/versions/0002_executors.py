"""Which executors are alive."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "executors",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("life", sa.String(160), nullable=False, unique=True),
        sa.Column("beat", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("executors")
