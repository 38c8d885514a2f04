"""Simulated stores of 8 cameras and 60 people: filmed, tracked, and whom their tracks show. What an earlier run left is used."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from throughline.domain.pairs import TrackId, TrackSpan
from throughline.domain.time import NS_PER_SECOND
from throughline.domain.tracks import TrackEmbeddings, TrackTable
from throughline.domain.transits import LearnedTransit, gaps_of, learn
from throughline.domain.truth import label_boxes, label_tracks
from throughline.domain.work import Work
from throughline.ingest.collate import CollateRequest, Collator
from throughline.ingest.listing import list_footage
from throughline.ingest.settings import CollateSettings
from throughline.models.calibrate import LabelledCamera
from throughline.perception.triton.client import InferenceClient
from throughline.simulation.scoring import ANY, is_clear, visible_spans
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.simulation.truth import TRUTH_JSON, StoreTruth, TruthDocument, read_truth
from throughline.storage import documents
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.pictures import PICTURES_FILE
from throughline.storage.tables import TRACKS_FILE, read_tracks, write_embeddings, write_tracks
from throughline.storage.workspace import Workspace, artifact_key
from throughline.tracker.artifacts import SUMMARY_FILE, CameraTracks, read_summary
from throughline.tracker.lineage import LINEAGE_FILE, Lineage
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import EVERYWHERE, TrackStage

_RATE = 10.0
_MIN_IOU, _MIN_VISIBILITY = 0.5, 0.1
"""From which on a box shows a person, as for whole tracks."""


def store_settings(seed: int) -> SimulationSettings:
    """As dense as a store is on a Saturday: most of 60 people within one minute."""
    return SimulationSettings(seed=seed, cameras=8, people=60, seconds=60, width=960, height=540, rate=10)


def rendered(seed: int, folder: Path) -> StoreTruth:
    """The store of a seed."""
    settings, place = store_settings(seed), folder / "store"
    truth = place / "truth" / TRUTH_JSON
    if truth.exists() and TruthDocument.model_validate_json(truth.read_bytes()).settings == settings:
        return read_truth(place)
    return simulate(settings, place)


def tracked(store: StoreTruth, workspace: Workspace, client: InferenceClient) -> list[CameraTracks]:
    """All cameras of a store, with the true clocks, as the tracker leaves them."""
    objects = open_objects(ObjectSettings(allowed_roots=(store.folder,)))
    listing = list_footage(objects, file_uri(store.footage))
    collator, stage = Collator(objects, workspace, CollateSettings()), TrackStage(workspace, client, TrackerSettings())
    found = []
    for camera in listing.cameras:
        reel = collator.collate(CollateRequest(listing, camera), Work()).artifact
        artifact = stage.run(reel.uri, camera, _RATE, EVERYWHERE, Work()).artifact
        found.append(CameraTracks(artifact, read_summary(artifact), store.clocks[camera]))
    return found


def unrefined(camera: CameraTracks, workspace: Workspace) -> CameraTracks:
    """The tracks of a camera as association made them, before they were refined."""
    names = raw_names(camera)
    folder = "tracks/" + artifact_key(stage="unrefined", tracks=camera.artifact.key)
    if workspace.find(folder) is None:
        with workspace.create(folder) as place:
            embeddings = _regrouped(camera.embeddings(), names)
            os.link(camera.artifact.path(PICTURES_FILE), place / PICTURES_FILE)
            write_embeddings(place, embeddings)
            write_tracks(place / TRACKS_FILE, _renamed(read_tracks(camera.artifact.path(TRACKS_FILE)), names))
            summary = replace(camera.summary, track_count=len(set(names.values())))
            (place / SUMMARY_FILE).write_bytes(documents.dump(summary))
    artifact = workspace.get(folder)
    return CameraTracks(artifact, read_summary(artifact), camera.clock)


def raw_names(camera: CameraTracks) -> dict[int, int]:
    """Of each refined track, the association's that it was part of."""
    document = documents.load(Lineage, camera.artifact.path(LINEAGE_FILE).read_bytes())
    return {each.track_id: each.parts[0].raw_track for each in document.tracks}


def _renamed(table: TrackTable, names: dict[int, int]) -> TrackTable:
    ids = _named(table.track_ids, names)
    order = np.lexsort((table.times_ns, ids))
    return TrackTable(ids[order], table.times_ns[order], table.boxes[order], table.scores[order])


def _regrouped(embeddings: TrackEmbeddings, names: dict[int, int]) -> TrackEmbeddings:
    return replace(embeddings, track_ids=_named(embeddings.track_ids, names))


def _named(numbers: NDArray[np.int64], names: dict[int, int]) -> NDArray[np.int64]:
    return np.array([names[number] for number in numbers.tolist()], np.int64)


@dataclass(frozen=True)
class Crowd:
    """Tracks of one store. people: whom each clear one shows; shown: whom each shows most, clear or not; spans: when each is; boxes:
    how many of its boxes show whom (NOBODY among them)."""

    truth: StoreTruth
    cameras: list[CameraTracks]
    people: dict[TrackId, int]
    shown: dict[TrackId, int]
    spans: dict[TrackId, TrackSpan]
    boxes: dict[TrackId, Counter[int]]

    @classmethod
    def read(cls, truth: StoreTruth, cameras: list[CameraTracks]) -> Crowd:
        people: dict[TrackId, int] = {}
        shown: dict[TrackId, int] = {}
        spans: dict[TrackId, TrackSpan] = {}
        boxes: dict[TrackId, Counter[int]] = {}
        for camera in cameras:
            table, true = read_tracks(camera.artifact.path(TRACKS_FILE)), truth.camera(camera.camera)
            labels = label_tracks(table, true, _MIN_IOU, _MIN_VISIBILITY)
            whose = label_boxes(table.times_ns, table.boxes, true, _MIN_IOU, _MIN_VISIBILITY)
            for track in table.tracks():
                span = camera.span(track.track_id, int(track.times_ns[0]), int(track.times_ns[-1]))
                spans[span.track] = span
                boxes[span.track] = Counter(whose[table.track_ids == track.track_id].tolist())
                shown[span.track] = labels[track.track_id].person
                if is_clear(labels[track.track_id]):
                    people[span.track] = shown[span.track]
        return cls(truth, cameras, people, shown, spans, boxes)

    def of(self, person: int) -> list[TrackSpan]:
        """Their clear tracks, the longest first."""
        found = [track for track, who in self.people.items() if who == person]
        return [self.spans[track] for track in sorted(found, key=lambda each: (-self.boxes[each].total(), each))]

    def place(self) -> Iterator[LabelledCamera]:
        """Its cameras, as calibrations take them."""
        for camera in self.cameras:
            clear = {track.number: who for track, who in self.people.items() if track.camera == camera.camera}
            yield LabelledCamera(camera.embeddings(), clear)

    def learned(self) -> tuple[LearnedTransit, ...]:
        """Transits of those who are asked for by nobody: as if people had confirmed them."""
        return learn(gaps_of(self.of(person) for person in set(self.people.values()) if person % 2 == 0))

    @cached_property
    def topology(self) -> str:
        """What an operator knows: which views overlap, and half of the quickest way between two that do not."""
        names = sorted(camera.camera for camera in self.cameras)
        seen = {}
        for name in names:
            truth, clock = self.truth.camera(name), self.truth.clocks[name]
            for person in np.unique(truth.persons).tolist():
                if spans := visible_spans(truth, person, clock, ANY):
                    seen[name, person] = spans
        overlaps, transits = [], []
        for one, other in combinations(names, 2):
            pairs = [
                (before, after)
                for (name, person), spans in seen.items()
                if name == one
                for before in spans
                for after in seen.get((other, person), ())
            ]
            if any(before.overlaps(after) for before, after in pairs):
                overlaps.append([one, other])
                continue
            least = min((before.gap_ns(after) for before, after in pairs), default=0) / 2 / NS_PER_SECOND
            transits.append({"between": [one, other], "least": round(least, 2)})
        return yaml.safe_dump({"cameras": names, "transits": transits, "overlaps": overlaps})
