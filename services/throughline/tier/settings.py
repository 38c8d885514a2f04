"""What the reference tier is told from outside."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from throughline.wire.settings import ServiceSettings


class TierSettings(ServiceSettings):
    """From THROUGHLINE_* variables."""

    tier_database_url: str = Field(
        default="sqlite:///build/tier.db",
        description="where pairs and answers are kept: sqlite:///path or a Postgres URL",
    )
    tier_truth: Path | None = Field(
        default=None,
        description="ground truth of a simulated store; with it pairs are answered at once, without people",
    )
    tier_callback_targets: tuple[str, ...] = Field(
        default=(), description="host:port where answers may be sent; empty: wherever the sender of the pairs asks"
    )
    tier_retry_seconds: float = Field(
        default=2.0, gt=0, description="pause between two attempts at sending answers that the orchestrator has not had"
    )
