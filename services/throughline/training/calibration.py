"""Fits the demo ReID model's calibrations to tracks as the product itself makes them: `python -m throughline.training.calibration`.

Needs no torch. Tracks of the tracker are worse than those of the truth: partly hidden, badly cut, now and then of two people. A
calibration that was fitted to clean crops would call too many of them different.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from throughline.domain.truth import label_tracks
from throughline.domain.work import Work
from throughline.ingest.collate import CollateRequest, Collator
from throughline.ingest.listing import list_footage
from throughline.ingest.settings import CollateSettings
from throughline.models.calibrate import LabelledCamera, kept_cosines
from throughline.models.calibrate import calibrate as fit
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.simulation.scoring import is_clear
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.tables import TRACKS_FILE, artifact_embeddings, read_tracks
from throughline.storage.workspace import Workspace
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import EVERYWHERE, TrackStage

FIRST_SEED = 2000
"""Beyond those that models are trained on, and not among those that they are evaluated on."""
_RATE = 10.0


def calibrate(repository: Path, out: Path, stores: int, sets_only: bool) -> None:
    """Simulate `stores` stores below `out`, track them with the models of `repository`, and write the calibrations into its card.

    `sets_only` keeps the calibration of cosines, by which tracks are divided: those that were made stay as they are.
    """
    settings = TritonSettings(model_repository=repository, log=out / "triton.log")
    seeds = range(FIRST_SEED, FIRST_SEED + stores)
    with (
        TritonServer(settings) as server,
        InferenceClient(server.grpc_address, tls=settings.tls) as client,
    ):
        described = [describe(seed, out / str(seed), client) for seed in seeds]
    fitted_on = f"tracks of simulated stores, seeds {seeds[0]} to {seeds[-1]}"
    fit(repository / "reid", described, fitted_on, kept_cosines(repository / "reid") if sets_only else None)


def describe(seed: int, folder: Path, client: InferenceClient) -> list[LabelledCamera]:
    """The tracks of one simulated store, the clear ones labelled; what an earlier run left in `folder` is used."""
    store = simulate(SimulationSettings(seed=seed, seconds=90), folder / "store")
    objects = open_objects(ObjectSettings(allowed_roots=(folder,)))
    workspace = Workspace(file_uri(folder / "workspace"), objects, folder / "cache")
    listing = list_footage(objects, file_uri(store.footage))
    collator = Collator(objects, workspace, CollateSettings())
    stage = TrackStage(workspace, client, TrackerSettings())
    cameras = []
    for camera in listing.cameras:
        reel = collator.collate(CollateRequest(listing, camera), Work()).artifact
        tracks = stage.run(reel.uri, camera, _RATE, EVERYWHERE, Work()).artifact
        labels = label_tracks(read_tracks(tracks.path(TRACKS_FILE)), store.camera(camera))
        clear = {number: label.person for number, label in labels.items() if is_clear(label)}
        cameras.append(LabelledCamera(artifact_embeddings(tracks), clear))
    return cameras


def main() -> None:
    """Calibrate the ReID model of a repository on simulated stores."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--out", type=Path, default=Path("build/calibration"), help="folder for stores and tracks")
    parser.add_argument("--stores", type=int, default=3)
    parser.add_argument(
        "--sets-only", action="store_true", help="keep the calibration of cosines, by which tracks are divided"
    )
    options = parser.parse_args()
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    calibrate(options.repository, out, options.stores, options.sets_only)


if __name__ == "__main__":
    main()
