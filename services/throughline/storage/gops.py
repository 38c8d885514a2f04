"""Where each moment of a reel came from: a row for each group of pictures (GOP), keyframe to next keyframe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from throughline.storage.columns import TableWriter, read_table, schema

GOPS_FILE = "gops.parquet"

GOPS = schema(
    "gops 1",
    chunk=pa.int32(),
    part=pa.int32(),
    start_ns=pa.int64(),
    end_ns=pa.int64(),
    frame_count=pa.int32(),
    source_start=pa.int64(),
    source_end=pa.int64(),
)


class GopWriter(TableWriter):
    """gops.parquet, written as chunks are copied, in order of time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, GOPS)


@dataclass(frozen=True)
class GopTable:
    """One row per GOP, in order of time; all arrays (n,).

    Together the rows cover what the reel shows, and none of it twice: a row ends where the next one of its chunk starts, or where
    a gap or the next chunk does.
    """

    chunks: NDArray[np.int32]
    """Index into the reel's `chunks`."""
    parts: NDArray[np.int32]
    """Index into the reel's `parts`."""
    starts_ns: NDArray[np.int64]
    """Camera time of the first frame that is shown."""
    ends_ns: NDArray[np.int64]
    """Camera time at which the last frame ends."""
    frame_counts: NDArray[np.int32]
    source_starts: NDArray[np.int64]
    """First byte of its packets in the chunk's object; -1 where the container does not tell."""
    source_ends: NDArray[np.int64]
    """One beyond the last byte of them; sound and headers may lie between."""


def read_gops(path: Path) -> GopTable:
    """The table of a reel's `gops.parquet`. Raises CorruptArtifact where it is none."""
    table = read_table(path, GOPS)
    return GopTable(*(table[name].to_numpy() for name in GOPS.names))
