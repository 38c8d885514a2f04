"""Reads ground truth: a Parquet file with a row per person and frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.truth import CameraTruth

_COLUMNS = ("camera", "camera_time_ns", "person", "left", "top", "right", "bottom", "visibility")


def read_truth(path: Path) -> dict[str, CameraTruth]:
    """Ground truth by camera. Raise NotFound where there is no such file, InvalidInput where columns are missing."""
    if not path.is_file():
        raise NotFound(f"no ground truth at {path}; `throughline simulate` writes it to truth/truth.parquet")
    table = pq.read_table(path)  # type: ignore[no-untyped-call]
    if missing := sorted(set(_COLUMNS) - set(table.column_names)):
        raise InvalidInput(f"ground truth {path} has no column {', '.join(missing)}; expected {', '.join(_COLUMNS)}")
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in _COLUMNS}
    boxes = np.stack([columns[side] for side in ("left", "top", "right", "bottom")], axis=1).astype(np.float32)
    result: dict[str, CameraTruth] = {}
    for camera in np.unique(columns["camera"].astype(str)).tolist():
        rows = columns["camera"] == camera
        result[camera] = CameraTruth(
            times_ns=columns["camera_time_ns"][rows].astype(np.int64),
            persons=columns["person"][rows].astype(np.int64),
            boxes=boxes[rows],
            visibility=columns["visibility"][rows].astype(np.float32),
        )
    return result
