"""Redaction on simulated stores: how much of every bystander is covered, how clear the subject stays, how much is covered for nothing.

Each camera's subject is the person that it sees longest; their tracks are those that the truth gives them. What is measured is what
`Crowd` covers at every third frame of the footage; that pictures show just that is for the tests of `renderer/redaction.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.bench.measure import Measure
from throughline.domain.errors import ThroughlineError
from throughline.domain.geometry import Boxes
from throughline.domain.time import Instant, Interval
from throughline.domain.truth import CameraTruth, label_tracks
from throughline.domain.work import Work
from throughline.ingest.collate import CollateRequest, Collator
from throughline.ingest.listing import list_footage
from throughline.ingest.settings import CollateSettings
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.renderer.crowd import Crowd, Redaction, RedactionSettings
from throughline.renderer.redaction import check_covered
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.simulation.truth import StoreTruth
from throughline.storage.detections import PEOPLE_FILE, read_people
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.tables import TRACKS_FILE, read_tracks
from throughline.storage.workspace import Artifact, Workspace
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import EVERYWHERE, TrackStage

SEEDS = (1, 2)
SECONDS = 60.0
RATE = 10.0
LEAST_HEIGHT, LEAST_VISIBLE = 32, 0.5
EVERY = 3
"""Of so many frames one is looked at: with 15 frames/s and 10 analysed, those between two looks are among them."""
CELL = 4
"""Pixels; areas are counted in squares of this size."""

Mask = NDArray[np.bool_]


@dataclass
class Tally:
    """What was counted. `overlapped`: bystanders most of whom lies in the subject's box, which stays clear."""

    bystanders: int = 0
    covered: int = 0
    overlapped: int = 0
    empty: int = 0
    empty_covered: int = 0
    subject_shares: list[float] = field(default_factory=list)


def run(folder: Path) -> list[Measure]:
    """Simulate and track the stores, and count."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tallies = {what: Tally() for what in (Redaction.BODIES, Redaction.HEADS)}
    unchecked = 0
    with (
        TritonServer(TritonSettings(log=folder / "triton.log")) as server,
        InferenceClient(server.grpc_address) as client,
    ):
        for seed in SEEDS:
            for camera, store, tracks in _tracked(folder / str(seed), seed, client):
                for what, tally in tallies.items():
                    unchecked += not _count(camera, store, tracks, what, tally)
    return [
        *(measure for what, tally in tallies.items() for measure in _measures(what, tally)),
        Measure("redaction: cameras that the check refused", unchecked, "cameras", 0),
    ]


def _measures(what: Redaction, tally: Tally) -> list[Measure]:
    share = tally.covered / max(1, tally.bystanders)
    empty = tally.empty_covered / max(1, tally.empty)
    clear = float(np.mean(tally.subject_shares))
    bars = (0.995, 0.25, 0.95) if what is Redaction.BODIES else (None, None, None)
    return [
        Measure(f"redaction, {what}: bystander boxes", tally.bystanders, "boxes"),
        Measure(f"redaction, {what}: mostly in the subject's box, not counted", tally.overlapped, "boxes"),
        Measure(f"redaction, {what}: 95% covered", share, "", bars[0], "higher"),
        Measure(f"redaction, {what}: covered where nobody is", empty, "", bars[1]),
        Measure(f"redaction, {what}: subject's true box clear, mean", clear, "", bars[2], "higher"),
    ]


def _tracked(folder: Path, seed: int, client: InferenceClient) -> Iterator[tuple[str, StoreTruth, Artifact]]:
    """Each camera of a simulated store with its tracks."""
    store = simulate(SimulationSettings(seed=seed, seconds=SECONDS), folder / "store")
    objects = open_objects(ObjectSettings(allowed_roots=(folder,)))
    workspace = Workspace(file_uri(folder / "workspace"), objects, folder / "cache")
    listing = list_footage(objects, file_uri(store.footage))
    collator = Collator(objects, workspace, CollateSettings())
    stage = TrackStage(workspace, client, TrackerSettings())
    for camera in listing.cameras:
        reel = collator.collate(CollateRequest(listing, camera), Work()).artifact
        yield camera, store, stage.run(reel.uri, camera, RATE, EVERYWHERE, Work()).artifact


def _count(camera: str, store: StoreTruth, tracks: Artifact, what: Redaction, tally: Tally) -> bool:
    """Add one camera's frames in which the subject can be seen; say whether the product's own check passes."""
    truth, settings = store.camera(camera), RedactionSettings()
    if not len(truth.persons):
        return True
    table = read_tracks(tracks.path(TRACKS_FILE))
    whole = Interval(Instant(int(truth.times_ns.min())), Instant(int(truth.times_ns.max())))
    around = whole.padded(settings.reach_ns, settings.reach_ns)
    crowd = Crowd(table, read_people(tracks.path(PEOPLE_FILE), around), settings, what)
    person = int(np.bincount(truth.persons).argmax())
    subject = {number for number, label in label_tracks(table, truth).items() if label.person == person}
    size = store.document.settings.size
    frames = _Frames(crowd, subject, truth, (size.height // CELL, size.width // CELL), person)
    for time_ns in np.unique(truth.times_ns[truth.persons == person])[::EVERY].tolist():
        frames.count(time_ns, tally)
    try:
        check_covered(camera, crowd, whole, subject)
    except ThroughlineError as error:
        print(error)
        return False
    return True


@dataclass(frozen=True)
class _Frames:
    """The frames of one camera."""

    crowd: Crowd
    subject: set[int]
    truth: CameraTruth
    shape: tuple[int, int]
    person: int

    def count(self, time_ns: int, tally: Tally) -> None:
        clear_boxes = self.crowd.clear_at(Instant(time_ns), self.subject)
        clear = self._mask(clear_boxes)
        hidden = self._mask(self.crowd.hidden_at(Instant(time_ns), self.subject)) & ~clear
        there = self.truth.times_ns == time_ns
        (own,) = np.flatnonzero(there & (self.truth.persons == self.person))
        subject = self._mask(self.truth.boxes[own][None])
        if clear.any() and self.truth.visibility[own] >= LEAST_VISIBLE:
            tally.subject_shares.append(float((subject & ~hidden).sum() / max(1, subject.sum())))
        nobody = ~self._mask(self.truth.boxes[there])
        tally.empty += int(nobody.sum())
        tally.empty_covered += int((hidden & nobody).sum())
        heights = self.truth.boxes[:, 3] - self.truth.boxes[:, 1]
        counted = there & (self.truth.persons != self.person) & (self.truth.visibility >= LEAST_VISIBLE)
        for box in self.crowd.sensitive(self.truth.boxes[counted & (heights >= LEAST_HEIGHT)]):
            whole = self._mask(box[None])
            owed = whole & ~clear
            if owed.sum() < whole.sum() / 2:
                tally.overlapped += 1
                continue
            tally.bystanders += 1
            tally.covered += bool((owed & hidden).sum() >= 0.95 * owed.sum())

    def _mask(self, boxes: Boxes) -> Mask:
        mask = np.zeros(self.shape, np.bool_)
        for left, top, right, bottom in np.round(np.maximum(boxes, 0) / CELL).astype(int).tolist():
            mask[top:bottom, left:right] = True
        return mask
