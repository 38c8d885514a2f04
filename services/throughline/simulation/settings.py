"""What a simulated store is made from: one seed and a few sizes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from throughline.domain.geometry import Size
from throughline.domain.time import Instant

DEMO_SEED = 7


class SimulationSettings(BaseModel):
    """All that decides the footage; the same settings give the same ground truth and the same pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=DEMO_SEED, ge=0, description="Decides the floor plan, cameras, people and their ways.")
    cameras: int = Field(default=4, ge=1, le=12, description="Cameras of the store.")
    people: int = Field(default=10, ge=1, le=60, description="Customers; who is seen depends on their ways.")
    seconds: float = Field(default=120.0, gt=0, le=86_400, description="Length of the recording, in seconds.")
    width: int = Field(default=1280, ge=160, multiple_of=2, description="Frame width in pixels.")
    height: int = Field(default=720, ge=96, multiple_of=2, description="Frame height in pixels.")
    rate: int = Field(default=15, ge=1, le=60, description="Frames per second; 90000 must be a multiple of it.")
    chunk_seconds: int = Field(default=15, ge=1, le=3600, description="Length of one video file, in seconds.")
    start: Instant = Field(default=Instant.parse("2026-03-01T10:00:00Z"), description="UTC at which recording begins.")
    queries: int = Field(default=3, ge=0, description="Query documents to write, the best one first.")
    workers: int = Field(default=2, ge=1, description="Cameras rendered at the same time, one process each.")
    quality: int = Field(default=25, ge=0, le=51, description="x264's constant rate factor.")

    @property
    def size(self) -> Size:
        """Size of every frame."""
        return Size(self.width, self.height)
