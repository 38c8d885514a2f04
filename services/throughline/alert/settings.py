"""What the reference alert receiver is told from outside."""

from __future__ import annotations

from pydantic import Field

from throughline.wire.settings import ServiceSettings


class AlertSettings(ServiceSettings):
    """From THROUGHLINE_* variables."""

    alert_database_url: str = Field(
        default="sqlite:///build/alert.db", description="where messages are kept: sqlite:///path or a Postgres URL"
    )
