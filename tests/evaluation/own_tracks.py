"""The tracks that a deployment made, with whom the clear ones show by the truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from throughline.domain.truth import CameraTruth, label_tracks
from throughline.models.calibrate import LabelledCamera
from throughline.simulation.scoring import is_clear
from throughline.storage.tables import TRACKS_FILE, read_embeddings, read_tracks


def own_tracks(home: Path, truth: Mapping[str, CameraTruth]) -> tuple[list[LabelledCamera], list[str]]:
    """All tracks of a deployment by camera, and the cameras' names."""
    place, names = [], []
    for folder in sorted((home / "workspace" / "tracks").iterdir()):
        camera = json.loads((folder / "summary.json").read_bytes())["camera"]
        labels = label_tracks(read_tracks(folder / TRACKS_FILE), truth[camera])
        clear = {number: label.person for number, label in labels.items() if is_clear(label)}
        place.append(LabelledCamera(read_embeddings(folder), clear))
        names.append(camera)
    return place, names
