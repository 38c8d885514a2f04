"""Ranking on simulated stores of 8 cameras and 60 people, without and with what is known of space and time, and with rounds."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from tests.bench.measure import Measure
from throughline.domain.calibration import Calibration
from throughline.domain.pairs import TrackId, TrackSpan
from throughline.domain.time import NS_PER_SECOND
from throughline.domain.tracks import TrackEmbeddings, TrackTable
from throughline.domain.transits import LearnedTransit, gaps_of, learn
from throughline.domain.truth import label_tracks
from throughline.domain.work import Work
from throughline.ingest.collate import CollateRequest, Collator
from throughline.ingest.listing import list_footage
from throughline.ingest.settings import CollateSettings
from throughline.perception.triton.client import REID, InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.simulation.scoring import ANY, auc, is_clear, visible_spans
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.simulation.truth import TRUTH_JSON, StoreTruth, TruthDocument, read_truth
from throughline.storage import documents
from throughline.storage.columns import read_table
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.tables import TRACKS_FILE, read_tracks
from throughline.storage.workspace import Workspace
from throughline.tracker.artifacts import CameraTracks, read_summary
from throughline.tracker.lineage import LINEAGE_FILE, Lineage
from throughline.tracker.locate import LocatedQuery
from throughline.tracker.match import Outcome
from throughline.tracker.rank import SCORES, SCORES_FILE, Calibrations, RankRules, rank
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.space import Known
from throughline.tracker.track import EVERYWHERE, TrackStage

SEEDS = (1, 2, 3, 4, 5)
_RATE = 10.0
_QUERIES = 6
"""Of each store."""


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
        artifact = stage.run(reel.uri, camera, _RATE, EVERYWHERE, Work()).artifact
        found.append(CameraTracks(artifact, read_summary(artifact), store.clocks[camera]))
    return found


@dataclass(frozen=True)
class Store:
    """One store, tracked: whom each clear track shows, and what its people teach of space and time."""

    truth: StoreTruth
    cameras: list[CameraTracks]
    people: dict[TrackId, int]
    sizes: dict[TrackId, int]
    spans: dict[TrackId, TrackSpan]

    @classmethod
    def read(cls, truth: StoreTruth, cameras: list[CameraTracks]) -> Store:
        people: dict[TrackId, int] = {}
        sizes: dict[TrackId, int] = {}
        spans: dict[TrackId, TrackSpan] = {}
        for camera in cameras:
            extents = camera.extents()
            labels = label_tracks(read_tracks(camera.artifact.path(TRACKS_FILE)), truth.camera(camera.camera))
            columns = (extents.ids, extents.starts_ns, extents.ends_ns, extents.box_counts)
            for number, start, end, count in zip(*(column.tolist() for column in columns), strict=True):
                if is_clear(labels[number]):
                    span = camera.span(number, start, end)
                    people[span.track], sizes[span.track], spans[span.track] = labels[number].person, count, span
        return cls(truth, cameras, people, sizes, spans)

    def of(self, person: int) -> list[TrackSpan]:
        """Their clear tracks, the longest first."""
        found = [track for track, who in self.people.items() if who == person]
        return [self.spans[track] for track in sorted(found, key=lambda each: (-self.sizes[each], each))]

    def queries(self) -> list[TrackSpan]:
        """The longest track of some with odd numbers who were tracked by several cameras."""
        several = [self.of(person) for person in sorted(set(self.people.values())) if person % 2]
        return [tracks[0] for tracks in several if len({each.track.camera for each in tracks}) > 1][:_QUERIES]

    def learned(self) -> tuple[LearnedTransit, ...]:
        """From those who are asked for by nobody: as if people had confirmed them."""
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


@dataclass(frozen=True)
class Asked:
    """One query's pairs with the clear tracks of other cameras: similarities, 0 where impossible, and whether it is the person."""

    similarities: list[float]
    same: list[bool]
    cosines: list[float]
    candidates: set[TrackId]


def ask(store: Store, query: TrackSpan, known: Known, calibration: Calibration, place: Path) -> Asked:
    """Rank a store's tracks for one query."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    located = LocatedQuery(query.track.camera, "", (query,), 1.0, (), 1, query.span, (), "")
    ranking = rank(located, store.cameras, RankRules(max_candidates=10_000), Calibrations(calibration), place, known)
    rows = read_table(place / SCORES_FILE, SCORES).to_pylist()
    similarities, same, cosines = [], [], []
    impossible = (Outcome.SAME_TIME, Outcome.TOO_SOON)
    for row in rows:
        track = TrackId(row["camera"], row["tracks_key"], row["track_id"])
        if track in store.people and row["outcome"] not in (Outcome.QUERY, Outcome.NO_CROPS, Outcome.ASKED):
            similarities.append(0.0 if row["outcome"] in impossible else row["similarity"])
            same.append(store.people[track] == store.people[query.track])
            cosines.append(row["cosine"])
    return Asked(similarities, same, cosines, {each.track.track for each in ranking.candidates})


def calibration_error(similarities: NDArray[np.float64], same: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected difference of similarity and share of the same person, same and different pairs weighing as much."""
    weights = np.where(same, 0.5 / max(1, same.sum()), 0.5 / max(1, (~same).sum()))
    index = np.minimum((similarities * bins).astype(int), bins - 1)
    mass = np.bincount(index, weights, bins)
    claimed, true = (np.bincount(index, weights * values, bins) for values in (similarities, same.astype(float)))
    return float(np.abs(claimed - true).sum() / mass.sum())


def idf1(store: Store, found: Iterable[tuple[TrackSpan, set[TrackId]]]) -> float:
    """Of the boxes that are given to the person of each query, beside the query's own track, against those that are theirs."""
    right = wrong = missed = 0
    for query, tracks in found:
        person = store.people[query.track]
        own = {each.track for each in store.of(person)} - {query.track}
        given = {track for track in tracks if track in store.people}
        right += sum(store.sizes[track] for track in own & given)
        wrong += sum(store.sizes[track] for track in given - own)
        missed += sum(store.sizes[track] for track in own - given)
    return 2 * right / max(1, 2 * right + wrong + missed)


def looks_auc(store: Store, refined: bool) -> float:
    """Chance that two clear tracks of one person before two cameras are more alike than two of different people; of tracks as they
    are, or as association made them, before they were divided by looks."""
    vectors, people, cameras = [], [], []
    for camera in store.cameras:
        table, embeddings = read_tracks(camera.artifact.path(TRACKS_FILE)), camera.embeddings()
        if not refined:
            document = documents.load(Lineage, camera.artifact.path(LINEAGE_FILE).read_bytes())
            raw = {each.track_id: each.parts[0].raw_track for each in document.tracks}
            table, embeddings = _renamed(table, raw), _regrouped(embeddings, raw)
        labels = label_tracks(table, store.truth.camera(camera.camera))
        for number, vector in zip(*embeddings.descriptors(), strict=True):
            if is_clear(labels[int(number)]):
                vectors.append(vector)
                people.append(labels[int(number)].person)
                cameras.append(camera.camera)
    cosines, who, where = np.stack(vectors) @ np.stack(vectors).T, np.array(people), np.array(cameras)
    same, across = who[:, None] == who, np.triu(where[:, None] != where)
    return auc(cosines[same & across], cosines[~same & across])


def _renamed(table: TrackTable, names: dict[int, int]) -> TrackTable:
    ids = np.array([names[number] for number in table.track_ids.tolist()], np.int64)
    order = np.lexsort((table.times_ns, ids))
    return TrackTable(ids[order], table.times_ns[order], table.boxes[order], table.scores[order])


def _regrouped(embeddings: TrackEmbeddings, names: dict[int, int]) -> TrackEmbeddings:
    ids = np.array([names[number] for number in embeddings.track_ids.tolist()], np.int64)
    return replace(embeddings, track_ids=ids)


def run(folder: Path) -> list[Measure]:
    """Figures over all stores."""
    settings = TritonSettings(log=folder / "triton.log")
    folder.mkdir(parents=True, exist_ok=True)
    with TritonServer(settings) as server, InferenceClient(server.grpc_address, tls=settings.tls) as client:
        calibration = client.model(REID).calibration
        assert calibration is not None
        stores = []
        for seed in SEEDS:
            truth = rendered(seed, folder)
            stores.append(Store.read(truth, tracked(truth, folder / f"store-{seed}", client)))
    before, after = (float(np.mean([looks_auc(store, refined) for store in stores])) for refined in (False, True))
    return [
        Measure("space, looks: pair AUC of all tracks before refinement", before, ""),
        Measure("space, looks: pair AUC of all tracks after refinement", after, ""),
        *(measure for name in VARIANTS for measure in variant(name, stores, calibration, folder / "scores")),
    ]


VARIANTS = ("looks", "topology", "topology and learned transits")


def knowledge(name: str, store: Store) -> Known:
    """What a variant knows of a store."""
    stated = store.topology if name in VARIANTS[1:] else ""
    return Known(topology_yaml=stated, learned=store.learned() if name == VARIANTS[2] else ())


def variant(name: str, stores: list[Store], calibration: Calibration, place: Path) -> Iterator[Measure]:
    """One way of ranking, over one round and over two, answered by the truth."""
    asked: list[Asked] = []
    once, confirmed, twice = [], [], []
    pairs = [0, 0]
    for store in stores:
        known = knowledge(name, store)
        for query in store.queries():
            first = ask(store, query, known, calibration, place)
            person = store.people[query.track]
            valid = {track for track in first.candidates if store.people.get(track) == person}
            later = replace(
                known,
                confirmed=tuple(store.spans[track] for track in sorted(valid)),
                asked=tuple(sorted(first.candidates)),
            )
            second = ask(store, query, later, calibration, place) if valid else Asked([], [], [], set())
            new = {track for track in second.candidates if store.people.get(track) == person}
            asked.append(first)
            once.append((store, query, first.candidates))
            confirmed.append((store, query, valid))
            twice.append((store, query, valid | new))
            pairs[0] += len(first.candidates)
            pairs[1] += len(second.candidates)
    similarities = np.concatenate([each.similarities for each in asked])
    same = np.concatenate([each.same for each in asked]).astype(bool)
    yield Measure(f"space, {name}: pair AUC", auc(similarities[same], similarities[~same]), "")
    yield Measure(f"space, {name}: calibration error", calibration_error(similarities, same), "")
    yield Measure(f"space, {name}: IDF1 as ranked", _mean_idf1(stores, once), "")
    yield Measure(f"space, {name}: IDF1 after one round of {pairs[0]} pairs", _mean_idf1(stores, confirmed), "")
    yield Measure(f"space, {name}: IDF1 after two, of {pairs[1]} more", _mean_idf1(stores, twice), "")


def _mean_idf1(stores: list[Store], found: list[tuple[Store, TrackSpan, set[TrackId]]]) -> float:
    each = [idf1(store, [(query, tracks) for owner, query, tracks in found if owner is store]) for store in stores]
    return float(np.mean(each))
