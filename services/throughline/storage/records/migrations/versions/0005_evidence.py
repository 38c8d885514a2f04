"""Which answers a film was made of, and where its evidence lies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("films", sa.Column("answer_ids", sa.JSON(), nullable=True))
    op.add_column("films", sa.Column("evidence_uri", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("films", "evidence_uri")
    op.drop_column("films", "answer_ids")
