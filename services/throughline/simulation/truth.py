"""Ground truth of a simulated store as files: who was where in which camera's frames, and what the cameras' clocks said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from throughline.domain.geometry import Boxes
from throughline.domain.time import ClockMap, Instant
from throughline.domain.truth import CameraTruth
from throughline.simulation.scene import PERSON
from throughline.simulation.settings import SimulationSettings

TRUTH_JSON, TRUTH_TABLE = "truth.json", "truth.parquet"


class TrueCamera(BaseModel):
    """One camera and its clock: UTC = its own time + offset."""

    model_config = ConfigDict(frozen=True)

    name: str
    clock_offset_ns: int = Field(description="UTC minus the camera's own time, in nanoseconds.")
    first_frame: Instant = Field(description="The camera's own time of its first frame.")
    frames: int
    chunks: tuple[str, ...] = Field(description="File names in order; each begins with its first frame's time.")

    @property
    def clock(self) -> ClockMap:
        """The camera's clock, known exactly."""
        return ClockMap(offset_ns=self.clock_offset_ns)


class TrueQuery(BaseModel):
    """One query document and the person whom it shows."""

    model_config = ConfigDict(frozen=True)

    file: str = Field(description="Path below the store's folder.")
    camera: str
    person: str


class TruthDocument(BaseModel):
    """`truth/truth.json`: all but the boxes."""

    model_config = ConfigDict(frozen=True)

    settings: SimulationSettings
    cameras: tuple[TrueCamera, ...]
    people: tuple[str, ...] = Field(description="Names; a person's number in tables of the domain is their index here.")
    queries: tuple[TrueQuery, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TruthTable:
    """One row per person or trolley, camera and frame, wherever part of the body would be in the frame were nothing in the way."""

    camera: NDArray[np.str_]
    camera_time_ns: NDArray[np.int64]
    utc_ns: NDArray[np.int64]
    name: NDArray[np.str_]
    kind: NDArray[np.str_]
    """person or trolley"""
    boxes: Boxes
    """(n, 4) xyxy pixels: the whole body, what is hidden included, clipped to the frame."""
    visibility: NDArray[np.float32]
    """Share of the body's pixels that can be seen, 0..1; what lies outside the frame counts as hidden."""

    def only(self, rows: NDArray[np.bool_]) -> TruthTable:
        """The chosen rows."""
        return TruthTable(
            self.camera[rows],
            self.camera_time_ns[rows],
            self.utc_ns[rows],
            self.name[rows],
            self.kind[rows],
            self.boxes[rows],
            self.visibility[rows],
        )


@dataclass(frozen=True, slots=True, eq=False)
class StoreTruth:
    """A simulated store on disk, read back."""

    folder: Path
    document: TruthDocument
    table: TruthTable

    @property
    def footage(self) -> Path:
        """A folder per camera, each with its chunks."""
        return self.folder / "footage"

    @property
    def clocks(self) -> dict[str, ClockMap]:
        """Each camera's clock."""
        return {camera.name: camera.clock for camera in self.document.cameras}

    def camera(self, name: str) -> CameraTruth:
        """People before one camera in its own time, numbered by their index in `document.people`."""
        table = self.table
        chosen = table.only((table.camera == name) & (table.kind == PERSON))
        numbers = {person: number for number, person in enumerate(self.document.people)}
        persons = np.array([numbers[person] for person in chosen.name.tolist()], np.int64)
        return CameraTruth(chosen.camera_time_ns, persons, chosen.boxes, chosen.visibility)


def write_table(path: Path, table: TruthTable) -> None:
    """Write the table as Parquet, in the order of its rows."""
    sides = dict(zip(("left", "top", "right", "bottom"), table.boxes.T, strict=True))
    columns = {
        "camera": pa.array(table.camera.tolist(), pa.string()).dictionary_encode(),
        "camera_time_ns": table.camera_time_ns,
        "utc_ns": table.utc_ns,
        "name": pa.array(table.name.tolist(), pa.string()).dictionary_encode(),
        "kind": pa.array(table.kind.tolist(), pa.string()).dictionary_encode(),
        **{side: np.ascontiguousarray(values) for side, values in sides.items()},
        "visibility": table.visibility,
    }
    pq.write_table(pa.table(columns), path)


def read_truth(folder: Path) -> StoreTruth:
    """Read a store that `simulate` has written. Raises FileNotFoundError where there is none."""
    document = TruthDocument.model_validate_json((folder / "truth" / TRUTH_JSON).read_bytes())
    read = pq.read_table(folder / "truth" / TRUTH_TABLE)
    column = {name: read.column(name).to_numpy(zero_copy_only=False) for name in read.column_names}
    sides = [column[side].astype(np.float32) for side in ("left", "top", "right", "bottom")]
    table = TruthTable(
        column["camera"].astype(np.str_),
        column["camera_time_ns"].astype(np.int64),
        column["utc_ns"].astype(np.int64),
        column["name"].astype(np.str_),
        column["kind"].astype(np.str_),
        np.stack(sides, axis=1),
        column["visibility"].astype(np.float32),
    )
    return StoreTruth(folder, document, table)
