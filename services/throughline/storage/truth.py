"""Reads ground truth: a Parquet file with a row per body and frame, as `throughline simulate` writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.truth import CameraTruth

PERSON = "person"
_COLUMNS = ("camera", "camera_time_ns", "name", "kind", "left", "top", "right", "bottom", "visibility")


def read_truth(path: Path) -> dict[str, CameraTruth]:
    """Ground truth by camera; people are numbered in the order of their names.

    Raises NotFound where there is no such file, InvalidInput where columns are missing.
    """
    if not path.is_file():
        raise NotFound(f"no ground truth at {path}; `throughline simulate` writes it to truth/truth.parquet")
    table = pq.read_table(path)
    if missing := sorted(set(_COLUMNS) - set(table.column_names)):
        raise InvalidInput(f"ground truth {path} has no column {', '.join(missing)}; expected {', '.join(_COLUMNS)}")
    column = {name: table[name].to_numpy(zero_copy_only=False) for name in _COLUMNS}
    cameras, kinds = column["camera"].astype(np.str_), column["kind"].astype(np.str_)
    _, persons = np.unique(column["name"].astype(np.str_), return_inverse=True)
    boxes = np.stack([column[side] for side in ("left", "top", "right", "bottom")], axis=1).astype(np.float32)
    result: dict[str, CameraTruth] = {}
    for camera in np.unique(cameras).tolist():
        rows = (cameras == camera) & (kinds == PERSON)
        result[camera] = CameraTruth(
            times_ns=column["camera_time_ns"][rows].astype(np.int64),
            persons=persons[rows].astype(np.int64),
            boxes=boxes[rows],
            visibility=column["visibility"][rows].astype(np.float32),
        )
    return result
