"""The tracks that a deployment made, with whom the clear ones show by the truth."""

from __future__ import annotations

import json
from collections.abc import Mapping

from throughline.cli.deployment import Deployment
from throughline.domain.truth import CameraTruth, label_tracks
from throughline.models.calibrate import LabelledCamera
from throughline.simulation.scoring import is_clear
from throughline.storage.tables import TRACKS_FILE, read_embeddings, read_tracks
from throughline.storage.workspace import Workspace


def own_tracks(
    deployment: Deployment, workspace: Workspace, truth: Mapping[str, CameraTruth]
) -> tuple[list[LabelledCamera], list[str]]:
    """All tracks by camera, and the cameras' names."""
    place, names = [], []
    for key in sorted(path.name for path in (deployment.home / "workspace" / "tracks").iterdir()):
        artifact = workspace.get(f"tracks/{key}")
        camera = json.loads(artifact.path("summary.json").read_bytes())["camera"]
        labels = label_tracks(read_tracks(artifact.path(TRACKS_FILE)), truth[camera])
        clear = {number: label.person for number, label in labels.items() if is_clear(label)}
        place.append(LabelledCamera(read_embeddings(artifact.path("embeddings.npy").parent), clear))
        names.append(camera)
    return place, names
