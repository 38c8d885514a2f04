"""Fits the demo ReID model's calibration to tracks as the product itself makes them: `python -m throughline.training.calibration`.

Needs no torch. Tracks of the tracker are worse than those of the truth: partly hidden, badly cut, now and then of two people. A
calibration that was fitted to clean crops would call too many of them different.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.domain.truth import label_tracks
from throughline.domain.work import Work
from throughline.ingest.collate import CollateRequest, Collator
from throughline.ingest.listing import list_footage
from throughline.ingest.settings import CollateSettings
from throughline.models.calibrate import calibrate_on_pairs, labelled_pairs
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.simulation.scoring import is_clear
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.tables import TRACKS_FILE, read_embeddings, read_tracks
from throughline.storage.workspace import Workspace
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import EVERYWHERE, TrackStage

FIRST_SEED = 2000
"""Beyond those that models are trained on, and not among those that they are evaluated on."""
_RATE = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """Clear tracks of one store. vectors: (n, d) float32 unit descriptors; people, cameras: (n,)."""

    vectors: NDArray[np.float32]
    people: NDArray[np.int64]
    cameras: NDArray[np.str_]


def calibrate(repository: Path, out: Path, stores: int) -> None:
    """Simulate `stores` stores below `out`, track them with the models of `repository`, and write the calibration into its card."""
    settings = TritonSettings(model_repository=repository, log=out / "triton.log")
    with (
        TritonServer(settings) as server,
        InferenceClient(server.grpc_address, tls=settings.tls) as client,
    ):
        described = [describe(seed, out / str(seed), client) for seed in range(FIRST_SEED, FIRST_SEED + stores)]
    pairs = [labelled_pairs(each.vectors, each.people, each.cameras) for each in described]
    cosines, same = (np.concatenate(column) for column in zip(*pairs, strict=True))
    calibrate_on_pairs(
        repository / "reid",
        cosines,
        same,
        f"tracks of simulated stores, seeds {FIRST_SEED} to {FIRST_SEED + stores - 1}",
    )


def describe(seed: int, folder: Path, client: InferenceClient) -> Described:
    """The clear tracks of one simulated store; what an earlier run left in `folder` is used."""
    store = simulate(SimulationSettings(seed=seed, seconds=90), folder / "store")
    objects = open_objects(ObjectSettings(allowed_roots=(folder,)))
    workspace = Workspace(file_uri(folder / "workspace"), objects, folder / "cache")
    listing = list_footage(objects, file_uri(store.footage))
    collator = Collator(objects, workspace, CollateSettings())
    stage = TrackStage(workspace, client, TrackerSettings())
    rows = []
    for camera in listing.cameras:
        reel = collator.collate(CollateRequest(listing, camera), Work()).artifact
        tracks = stage.run(reel.uri, camera, _RATE, EVERYWHERE, Work()).artifact
        labels = label_tracks(read_tracks(tracks.path(TRACKS_FILE)), store.camera(camera))
        ids, descriptors = read_embeddings(tracks.path(TRACKS_FILE).parent).descriptors()
        rows += [
            (vector, labels[track_id].person, camera)
            for track_id, vector in zip(ids.tolist(), descriptors, strict=True)
            if is_clear(labels[track_id])
        ]
    vectors, people, cameras = zip(*rows, strict=True)
    return Described(np.stack(vectors), np.array(people, np.int64), np.array(cameras))


def main() -> None:
    """Calibrate the ReID model of a repository on simulated stores."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--out", type=Path, default=Path("build/calibration"), help="folder for stores and tracks")
    parser.add_argument("--stores", type=int, default=3)
    options = parser.parse_args()
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    calibrate(options.repository, out, options.stores)


if __name__ == "__main__":
    main()
