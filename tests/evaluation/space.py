"""Ranking in crowded stores that nothing was fitted to: before and after refinement, with what is known of space, and in rounds.

Footage and tracks stay in the folder and are used again, so that a run that was ended goes on where it was. SEEDS (such as `1,2`)
chooses stores; default: all five.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.bench.measure import Measure
from tests.evaluation.crowds import Crowd, raw_names, rendered, tracked, unrefined
from tests.evaluation.reliability import auc_of, calibration_error, reliability
from throughline.domain.likeness import SAME_LOOKS
from throughline.domain.pairs import TrackId, TrackSpan
from throughline.domain.time import Interval
from throughline.models.calibrate import Pairs, joined, set_pairs
from throughline.perception.triton.client import REID, InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.storage.columns import read_table
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.workspace import Workspace
from throughline.tracker.locate import LocatedQuery
from throughline.tracker.match import Outcome
from throughline.tracker.pair_pictures import PairPictures
from throughline.tracker.rank import SCORES, SCORES_FILE, Calibrations, RankRules, rank
from throughline.tracker.space import Known

SEEDS = (1, 2, 3, 4, 5)
_QUERIES = 12
"""Of each store."""
_ROWS = ("tracks as associated", "refined", "with topology", "and a second round", "refined, with learned transits")
_BAR = 0.05
_IMPOSSIBLE = (Outcome.SAME_TIME, Outcome.TOO_SOON)
_UNRANKED = (Outcome.QUERY, Outcome.NO_CROPS, Outcome.ASKED)


@dataclass(frozen=True, slots=True)
class Query:
    """A track of a person, and when it certainly shows them (UTC)."""

    track: TrackSpan
    person: int
    sure: Interval


@dataclass(frozen=True)
class Ranked:
    """One query's ranking: similarities of the clear tracks before other cameras, 0 where impossible, and the candidates there."""

    similarities: dict[TrackId, float]
    candidates: set[TrackId]


@dataclass
class Row:
    """What one way of ranking gave in one store. similarities and same: of all pairs of its queries; right, wrong, missed: boxes,
    as ranked and as answered; pairs: that people were asked about."""

    similarities: list[float] = field(default_factory=list)
    same: list[bool] = field(default_factory=list)
    as_ranked: list[int] = field(default_factory=lambda: [0, 0, 0])
    as_answered: list[int] = field(default_factory=lambda: [0, 0, 0])
    pairs: int = 0

    def add(
        self, crowd: Crowd, query: Query, ranked: Mapping[TrackId, float], found: tuple[set[TrackId], set[TrackId]]
    ) -> None:
        """One query; found: candidates, and those that people confirmed."""
        self.similarities += ranked.values()
        self.same += [crowd.people[track] == query.person for track in ranked]
        for counts, given in zip((self.as_ranked, self.as_answered), found, strict=True):
            counts[:] = np.add(counts, _boxes(crowd, query, given)).tolist()

    def figures(self) -> tuple[float, float, float, float, float]:
        """Pair AUC, calibration error, IDF1 as ranked and as answered, pairs."""
        values, same = np.array(self.similarities), np.array(self.same)
        scores = (auc_of(values, same), calibration_error(values, same))
        return *scores, _idf1(self.as_ranked), _idf1(self.as_answered), float(self.pairs)


class Rankings:
    """Ranks the tracks of stores, in a folder that is made anew each time."""

    def __init__(self, calibrations: Calibrations, place: Path) -> None:
        self._calibrations, self._place = calibrations, place

    def ask(self, crowd: Crowd, query: Query, known: Known) -> Ranked:
        """All tracks for one query."""
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir(parents=True)
        home = query.track.track.camera
        agreed = crowd.truth.clocks[home].interval_to_camera(query.sure)
        located = LocatedQuery(home, "", (query.track,), 1.0, (agreed,), 1, agreed, (), "")
        rules = RankRules(max_candidates=10_000)
        ranking = rank(located, crowd.cameras, rules, self._calibrations, PairPictures(self._place, kept=False), known)
        similarities = {}
        for row in read_table(self._place / SCORES_FILE, SCORES).to_pylist():
            track = TrackId(row["camera"], row["tracks_key"], row["track_id"])
            if track.camera != home and track in crowd.people and row["outcome"] not in _UNRANKED:
                similarities[track] = 0.0 if row["outcome"] in _IMPOSSIBLE else row["similarity"]
        return Ranked(
            similarities, {each.track.track for each in ranking.candidates if each.track.track.camera != home}
        )

    def once(self, crowd: Crowd, queries: Iterable[Query], known: Known) -> Row:
        """One round; people answer by the truth."""
        row = Row()
        for query in queries:
            first = self.ask(crowd, query, known)
            row.add(crowd, query, first.similarities, (first.candidates, _confirmed(crowd, query, first.candidates)))
            row.pairs += len(first.candidates)
        return row

    def twice(self, crowd: Crowd, queries: Iterable[Query], known: Known) -> Row:
        """Two rounds. Who was answered about in the first has 1 or 0."""
        row = Row()
        for query in queries:
            first = self.ask(crowd, query, known)
            confirmed = _confirmed(crowd, query, first.candidates)
            spans = tuple(crowd.spans[track] for track in sorted(confirmed))
            later = replace(known, confirmed=spans, asked=tuple(sorted(first.candidates)))
            second = self.ask(crowd, query, later) if confirmed else Ranked({}, set())
            new = _confirmed(crowd, query, second.candidates)
            answered = {track: float(track in confirmed) for track in first.candidates & first.similarities.keys()}
            similarities = {**first.similarities, **second.similarities, **answered}
            row.add(crowd, query, similarities, (confirmed | second.candidates, confirmed | new))
            row.pairs += len(first.candidates) + len(second.candidates)
        return row


def run(folder: Path) -> list[Measure]:
    """A table of all stores, and its figures."""
    console, settings = Console(stderr=True), TritonSettings(log=folder / "triton.log")
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [int(seed) for seed in os.environ["SEEDS"].split(",")] if os.environ.get("SEEDS") else list(SEEDS)
    found, pairs = {}, []
    with TritonServer(settings) as server, InferenceClient(server.grpc_address, tls=settings.tls) as client:
        model = client.model(REID)
        calibrations = Calibrations(model.calibration, model.matching)
        for seed in seeds:
            began = time.monotonic()
            raw, refined = _crowds(seed, folder / f"store-{seed}", client)
            seen = time.monotonic()
            found[seed] = _ways(raw, refined, Rankings(calibrations, folder / "scores"))
            pairs.append((_pairs(raw, calibrations), _pairs(refined, calibrations)))
            console.print(_table({seed: found[seed]}))
            console.print(
                f"seed {seed}: {len(raw.people)} clear tracks as associated and {len(refined.people)} refined, "
                f"seen in {seen - began:.0f} s, ranked in {time.monotonic() - seen:.0f} s"
            )
    console.print(_table(found))
    return [*_measures(found), *_all_pairs(pairs)]


def _crowds(seed: int, folder: Path, client: InferenceClient) -> tuple[Crowd, Crowd]:
    truth = rendered(seed, folder)
    objects = open_objects(ObjectSettings(allowed_roots=(folder,)))
    workspace = Workspace(file_uri(folder / "workspace"), objects, folder / "cache")
    cameras = tracked(truth, workspace, client)
    return Crowd.read(truth, [unrefined(camera, workspace) for camera in cameras]), Crowd.read(truth, cameras)


def _ways(raw: Crowd, refined: Crowd, rankings: Rankings) -> dict[str, Row]:
    """A row for each way of ranking."""
    queries = _queries(refined)
    stated = Known(topology_yaml=refined.topology)
    rows = (
        rankings.once(raw, _before(queries, raw, refined), Known()),
        rankings.once(refined, queries, Known()),
        rankings.once(refined, queries, stated),
        rankings.twice(refined, queries, stated),
        rankings.once(refined, queries, Known(learned=refined.learned())),
    )
    return dict(zip(_ROWS, rows, strict=True))


def _queries(crowd: Crowd) -> list[Query]:
    """The longest track of some with odd numbers who were tracked by several cameras."""
    several = [(person, crowd.of(person)) for person in sorted(set(crowd.people.values())) if person % 2]
    wandering = [(person, tracks) for person, tracks in several if len({each.track.camera for each in tracks}) > 1]
    return [Query(tracks[0], person, tracks[0].span) for person, tracks in wandering[:_QUERIES]]


def _before(queries: Iterable[Query], raw: Crowd, refined: Crowd) -> Iterator[Query]:
    """The same people at the same moments, among tracks that were not refined."""
    names = {camera.camera: raw_names(camera) for camera in refined.cameras}
    keys = {camera.camera: camera.artifact.key for camera in raw.cameras}
    for query in queries:
        camera, number = query.track.track.camera, query.track.track.number
        track = TrackId(camera, keys[camera], names[camera][number])
        yield replace(query, track=raw.spans[track])


def _confirmed(crowd: Crowd, query: Query, candidates: Iterable[TrackId]) -> set[TrackId]:
    """Those that mostly show the person, as somebody would see who looks at them."""
    return {track for track in candidates if crowd.shown[track] == query.person}


def _boxes(crowd: Crowd, query: Query, given: set[TrackId]) -> tuple[int, int, int]:
    """Boxes before other cameras: given to the person and theirs, given and not theirs, theirs and not given."""
    right = sum(crowd.boxes[track][query.person] for track in given)
    home = query.track.track.camera
    theirs = sum(counts[query.person] for track, counts in crowd.boxes.items() if track.camera != home)
    return right, sum(crowd.boxes[track].total() for track in given) - right, theirs - right


def _idf1(boxes: Iterable[int]) -> float:
    right, wrong, missed = boxes
    return 2 * right / max(1, 2 * right + wrong + missed)


def _pairs(crowd: Crowd, calibrations: Calibrations) -> Pairs:
    """Probabilities of all pairs of clear tracks across cameras, and which are of one person."""
    matching, cosines = calibrations.matching, calibrations.cosines
    assert matching is not None
    assert cosines is not None
    look = np.array(matching.mean_look, np.float32)
    alike, same = set_pairs(list(crowd.place()), look, cosines.inverse(SAME_LOOKS))
    return np.asarray(matching.calibration.apply(alike), np.float64), same


def _means(found: Mapping[int, Mapping[str, Row]]) -> dict[str, list[float]]:
    return {name: np.mean([rows[name].figures() for rows in found.values()], axis=0).tolist() for name in _ROWS}


def _table(found: Mapping[int, Mapping[str, Row]]) -> Table:
    table = Table("seed", "tracks", "pair AUC", "calibration error", "IDF1 as ranked", "IDF1 as answered", "pairs")
    shown: list[tuple[str, Mapping[str, Sequence[float]]]] = [
        (str(seed), {name: row.figures() for name, row in rows.items()}) for seed, rows in found.items()
    ]
    for seed, ways in [*shown, ("mean", _means(found))] if len(found) > 1 else shown:
        for name, (area, error, ranked, answered, pairs) in ways.items():
            unsure = "" if name == _ROWS[3] else f"{error:.3f}"  # after answers there is little left to be unsure of
            table.add_row(seed, name, f"{area:.3f}", unsure, f"{ranked:.3f}", f"{answered:.3f}", f"{pairs:.0f}")
    return table


def _measures(found: Mapping[int, Mapping[str, Row]]) -> Iterator[Measure]:
    for name, (area, _, ranked, answered, pairs) in _means(found).items():
        yield Measure(f"space, {name}: pair AUC", area, "")
        if name != _ROWS[3]:
            every = [rows[name] for rows in found.values()]
            values, same = (np.concatenate([getattr(row, kind) for row in every]) for kind in ("similarities", "same"))
            error, bar = calibration_error(values, same.astype(bool)), None if name == _ROWS[0] else _BAR
            yield Measure(f"space, {name}: expected calibration error over all queries", error, "", bar)
        yield Measure(f"space, {name}: cross-camera IDF1 as ranked", ranked, "")
        yield Measure(f"space, {name}: cross-camera IDF1 as answered, {pairs:.0f} pairs a store", answered, "")


def _all_pairs(pairs: Sequence[tuple[Pairs, Pairs]]) -> Iterator[Measure]:
    """Over every pair of clear tracks across cameras, those of queries or not."""
    for name, places, bar in zip(_ROWS, zip(*pairs, strict=True), (None, _BAR), strict=False):
        areas = [auc_of(values, same) for values, same in places]
        yield Measure(f"space, all pairs, {name}: AUC, mean of stores", float(np.mean(areas)), "")
        yield from reliability(f"space, all pairs, {name}", *joined(places), bar)
