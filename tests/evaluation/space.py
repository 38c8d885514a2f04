"""Ranking on simulated stores of 8 cameras and 60 people, without and with what is known of space and time, and with rounds."""

from __future__ import annotations

from pathlib import Path

from throughline.domain.work import Work
from throughline.ingest.collate import CollateRequest, Collator
from throughline.ingest.listing import list_footage
from throughline.ingest.settings import CollateSettings
from throughline.perception.triton.client import InferenceClient
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.simulation.truth import TRUTH_JSON, StoreTruth, TruthDocument, read_truth
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.workspace import Workspace
from throughline.tracker.artifacts import CameraTracks, read_summary
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import TrackStage

SEEDS = (1, 2, 3, 4, 5)
_RATE = 10.0


def store_settings(seed: int) -> SimulationSettings:
    """As dense as a store is on a Saturday: most of 60 people within one minute."""
    return SimulationSettings(seed=seed, cameras=8, people=60, seconds=60, width=960, height=540, rate=10)


def rendered(seed: int, folder: Path) -> StoreTruth:
    """The store of a seed; what an earlier run left is used."""
    settings, place = store_settings(seed), folder / f"store-{seed}" / "store"
    truth = place / "truth" / TRUTH_JSON
    if truth.exists() and TruthDocument.model_validate_json(truth.read_bytes()).settings == settings:
        return read_truth(place)
    return simulate(settings, place)


def tracked(store: StoreTruth, folder: Path, client: InferenceClient) -> list[CameraTracks]:
    """All cameras of a store, with the true clocks."""
    objects = open_objects(ObjectSettings(allowed_roots=(folder,)))
    workspace = Workspace(file_uri(folder / "workspace"), objects, folder / "cache")
    listing = list_footage(objects, file_uri(store.footage))
    collator, stage = Collator(objects, workspace, CollateSettings()), TrackStage(workspace, client, TrackerSettings())
    found = []
    for camera in listing.cameras:
        reel = collator.collate(CollateRequest(listing, camera), Work()).artifact
        artifact = stage.run(reel.uri, camera, _RATE, None, Work()).artifact
        found.append(CameraTracks(artifact, read_summary(artifact), store.clocks[camera]))
    return found
