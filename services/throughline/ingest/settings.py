"""What the ingest service is told from outside."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from throughline.ingest.chunk_times import DEFAULT_METADATA_KEYS
from throughline.ingest.listing import DEFAULT_EXTENSIONS
from throughline.ingest.names import DEFAULT_PATTERNS
from throughline.wire.settings import ServiceSettings


class CollateSettings(BaseModel):
    """What a reel depends on besides its chunks; all but `fetches_at_once` is part of its key."""

    model_config = ConfigDict(frozen=True)

    file_name_patterns: tuple[str, ...] = DEFAULT_PATTERNS
    time_metadata_keys: tuple[str, ...] = DEFAULT_METADATA_KEYS
    snap_seconds: float = 0.75
    fetches_at_once: int = 4


class IngestSettings(ServiceSettings):
    """From THROUGHLINE_* variables; lists are given as JSON."""

    ingest_extensions: tuple[str, ...] = Field(
        default=DEFAULT_EXTENSIONS, description="endings of objects that are taken for video; those without one are too"
    )
    ingest_file_name_patterns: tuple[str, ...] = Field(
        default=DEFAULT_PATTERNS,
        description="regular expressions that find times in names, with the groups that ingest/names.py tells; first fit wins",
    )
    ingest_time_metadata_keys: tuple[str, ...] = Field(
        default=DEFAULT_METADATA_KEYS,
        description="user metadata of objects (x-amz-meta-...) that state when a chunk starts: ISO 8601, or digits since 1970",
    )
    ingest_snap_seconds: float = Field(
        default=0.75, ge=0, le=30, description="chunks whose times are off by less are laid end to end"
    )
    ingest_fetches_at_once: int = Field(default=4, ge=1, le=64, description="chunks of a camera fetched ahead")

    def collate(self) -> CollateSettings:
        """The part that travels inside."""
        return CollateSettings(
            file_name_patterns=self.ingest_file_name_patterns,
            time_metadata_keys=self.ingest_time_metadata_keys,
            snap_seconds=self.ingest_snap_seconds,
            fetches_at_once=self.ingest_fetches_at_once,
        )
