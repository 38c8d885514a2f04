"""Orders all tracks by how likely they show the query's person, and says why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pyarrow as pa

from throughline.domain.calibration import Calibration
from throughline.domain.correction import Correction
from throughline.domain.errors import InvalidInput, ThroughlineError
from throughline.domain.likeness import SETS, Matching
from throughline.domain.pairs import Candidate, TrackSpan, pair_id
from throughline.domain.topology import UNKNOWN, Judgement
from throughline.domain.tracks import TrackEmbeddings
from throughline.domain.transits import LearnedTransit
from throughline.domain.work import Incident
from throughline.storage.columns import TableWriter, schema
from throughline.tracker.artifacts import CameraTracks
from throughline.tracker.context import in_context
from throughline.tracker.locate import LocatedQuery
from throughline.tracker.match import (
    Compared,
    CropPair,
    Outcome,
    Person,
    SetRule,
    best_crop_pair,
    compare,
    confirmed_person,
    falling,
    person_of,
)
from throughline.tracker.pair_pictures import PairPictures
from throughline.tracker.space import Known, Places, weighed

COSINE = "cosine"
SCORES_FILE = "scores.parquet"
RANKING_FILE = "candidates.json"
SCORES = schema(
    "scores 2",
    rank=pa.int32(),
    camera=pa.string(),
    tracks_key=pa.string(),
    track_id=pa.int64(),
    start_ns=pa.int64(),
    end_ns=pa.int64(),
    box_count=pa.int64(),
    cosine=pa.float64(),
    likeness=pa.float64(),
    similarity=pa.float64(),
    time_gap_ns=pa.int64(),
    outcome=pa.string(),
    appearance=pa.float64(),
    ratio=pa.float64(),
    space_time=pa.string(),
)
"""A row per track of all cameras, the likeliest first, or as they are re-ranked. rank: from 1, 0 for those that are no candidates;
start_ns, end_ns: UTC; cosine: of descriptors; likeness: what was calibrated; these and similarity are NaN where there is none; outcome:
see Outcome. appearance: similarity by looks alone, as the model's own calibration gives it; ratio: how much likelier space and time make
it, 1 where they say nothing, 0 where it is impossible; space_time: why."""


NOTHING = Known()
"""What the first round of a site knows of which nobody told anything."""


class Scale(StrEnum):
    """What a threshold is compared with."""

    CALIBRATED = "calibrated"
    COSINE = "cosine"


@dataclass(frozen=True, slots=True)
class RankRules:
    """Which tracks are candidates: similarity of at least `threshold` on `scale`, and no more than `max_candidates`, the likeliest or
    (`rerank`) those who have the same neighbours."""

    threshold: float = 0.5
    scale: Scale = Scale.CALIBRATED
    max_candidates: int = 500
    rerank: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise InvalidInput(f"similarity threshold {self.threshold:g}; give 0 to 1")
        if not 1 <= self.max_candidates <= 10_000:
            raise InvalidInput(f"max_candidates {self.max_candidates}; give 1 to 10000")


@dataclass(frozen=True, slots=True)
class Calibrations:
    """What a ReID model's card says of likeness: `cosines` of descriptors, and `matching` of something else."""

    cosines: Calibration | None = None
    matching: Matching | None = None

    @property
    def rule(self) -> SetRule | None:
        """How sets of crops are compared, where both calibrations that it takes are there; else descriptors are."""
        if self.cosines is None or self.matching is None or self.matching.likeness != SETS:
            return None
        return SetRule(self.matching, self.cosines)

    @property
    def known(self) -> str:
        """What the card is calibrated for, for people."""
        return "cosines only" if self.matching is None else f"cosines and for {self.matching.likeness}, not for {SETS}"

    @property
    def applied(self) -> Calibration | None:
        """What turns looks into similarity."""
        return self.cosines if self.rule is None else self.rule.matching.calibration

    @property
    def likeness(self) -> str:
        """What `applied` is for."""
        return COSINE if self.rule is None else self.rule.matching.likeness


@dataclass(frozen=True)
class Ranking:
    """The content of candidates.json. `asked` stands for what was asked: query, tracks, clocks and rules. A later
    calibration changes no ranking that was made."""

    asked: str
    rules: RankRules
    reid_digest: str
    calibration: Calibration | None
    query_tracks: tuple[TrackSpan, ...]
    compared: int
    impossible: int
    candidates: tuple[Candidate, ...]
    incidents: tuple[Incident, ...]
    confirmed: tuple[TrackSpan, ...] = ()
    topology_yaml: str = ""
    learned: tuple[LearnedTransit, ...] = ()
    likeness: str = COSINE
    """What the calibration is for: cosines of descriptors, or sets of crops in one version or another."""
    calibrated_by: str = ""
    correction: Correction | None = None
    """What the site's reviewers taught of the calibration, in every similarity."""


def rank(
    query: LocatedQuery,
    cameras: Sequence[CameraTracks],
    rules: RankRules,
    calibrations: Calibrations,
    pictures: PairPictures,
    known: Known = NOTHING,
) -> Ranking:
    """Compare all tracks with the query's and the confirmed ones, write their scores into the place of `pictures`, and give the
    candidates with the names of their crops there, which are empty where one is not kept or cannot be read."""
    cameras = sorted(cameras, key=lambda each: each.camera)
    embeddings = [each.embeddings() for each in cameras]
    home = next(
        (row for row, each in enumerate(cameras) if each.artifact.key == query.tracks[0].track.tracks_key), None
    )
    if home is None:
        raise InvalidInput(f"the tracks of the query's camera {query.camera} are not among those to be ranked")
    person = person_of(query, cameras[home], embeddings[home], calibrations.cosines)
    person = person.together_with(_confirmed(known, cameras, embeddings))
    compared = compare(person, cameras, embeddings, calibrations.rule)
    scored = _scored(compared, person, cameras, (rules, calibrations.applied, known))
    if rules.rerank:
        around = in_context(compared, embeddings, calibrations.rule)
        scored.sort(key=lambda each: -around.get(each.compared.track.track, float("-inf")))
    candidates: list[Candidate] = []
    rows: list[tuple[object, ...]] = []
    for each in scored:
        outcome = each.outcome or (
            Outcome.BELOW_THRESHOLD
            if not each.reaches
            else Outcome.OVER_LIMIT
            if len(candidates) == rules.max_candidates
            else Outcome.CANDIDATE
        )
        if outcome is Outcome.CANDIDATE:
            row, number = each.compared.row, each.compared.track.track.number
            candidates.append(
                _candidate(person, each, best_crop_pair(person, number, cameras[row], embeddings[row]), pictures)
            )
        rows.append(_score_row(each, outcome, len(candidates)))
    unreadable = pictures.save()
    candidates = [_without(each, unreadable) for each in candidates]
    with TableWriter(pictures.place / SCORES_FILE, SCORES) as writer:
        if rows:
            writer.write(*zip(*rows, strict=True))
    outcomes = [each.outcome for each in scored]
    return Ranking(
        asked="",
        rules=rules,
        reid_digest="",
        calibration=calibrations.applied,
        query_tracks=query.tracks,
        compared=outcomes.count(None),
        impossible=outcomes.count(Outcome.SAME_TIME) + outcomes.count(Outcome.TOO_SOON),
        candidates=tuple(candidates),
        incidents=(*_incidents(scored, rules, calibrations), *_not_shown(unreadable)),
        confirmed=known.confirmed,
        topology_yaml=known.topology_yaml,
        learned=known.learned,
        likeness=calibrations.likeness,
        correction=known.correction,
    )


@dataclass(frozen=True, slots=True)
class _Scored:
    """A track, its similarity (NaN where there is none), whether it reaches the threshold, and why it cannot be a candidate."""

    compared: Compared
    appearance: float
    similarity: float
    reaches: bool
    outcome: Outcome | None
    judgement: Judgement


def _scored(
    compared: Sequence[Compared],
    person: Person,
    cameras: Sequence[CameraTracks],
    how: tuple[RankRules, Calibration | None, Known],
) -> list[_Scored]:
    """All tracks, the likeliest first on the scale of the threshold."""
    rules, calibration, known = how
    places = None if known.topology is None else Places(known.topology, person.tracks, cameras)
    asked, scored = set(known.asked), []
    likenesses = np.array([each.likeness for each in compared])
    looks = np.full(len(compared), np.nan) if calibration is None else calibration.apply(likenesses).round(6)
    corrected = looks if known.correction is None else known.correction.apply(looks)
    for each, appearance, here in zip(compared, looks.tolist(), corrected.tolist(), strict=True):
        judgement = UNKNOWN if places is None or each.outcome is not None else places.judge(each.track)
        similarity = round(here if judgement.objection else weighed(here, judgement.ratio), 6)
        value = similarity if rules.scale is Scale.CALIBRATED else each.cosine
        outcome = each.outcome or (Outcome.ASKED if each.track.track in asked else None)
        if outcome is None and judgement.objection is not None:
            outcome = Outcome(judgement.objection.value)
        scored.append(_Scored(each, appearance, similarity, value >= rules.threshold, outcome, judgement))
    if rules.scale is Scale.CALIBRATED:
        scored.sort(key=lambda each: falling(each.similarity))
    else:
        scored.sort(key=lambda each: falling(each.compared.cosine))
    return scored


def _confirmed(known: Known, cameras: Sequence[CameraTracks], embeddings: Sequence[TrackEmbeddings]) -> list[Person]:
    """The confirmed tracks, each as a person; one of tracks that are not ranked any more is left out."""
    rows = {each.artifact.key: row for row, each in enumerate(cameras)}
    return [
        confirmed_person(track, cameras[rows[track.track.tracks_key]], embeddings[rows[track.track.tracks_key]])
        for track in known.confirmed
        if track.track.tracks_key in rows
    ]


def _candidate(person: Person, each: _Scored, pair: CropPair, pictures: PairPictures) -> Candidate:
    track = each.compared.track
    return Candidate(
        pair_id=pair_id(person.tracks[0].track, track.track),
        track=track,
        similarity=0.0 if np.isnan(each.similarity) else each.similarity,
        cosine=each.compared.cosine,
        time_gap_ns=each.compared.time_gap_ns,
        query_crop_uri=pictures.add(pair.query),
        candidate_crop_uri=pictures.add(pair.candidate),
        crop_cosine=pair.cosine,
        appearance=0.0 if np.isnan(each.appearance) else each.appearance,
        space_time=each.judgement.reason,
    )


def _without(candidate: Candidate, unreadable: Collection[str]) -> Candidate:
    """The candidate without those of its crops that cannot be read."""
    query, other = (
        "" if crop in unreadable else crop for crop in (candidate.query_crop_uri, candidate.candidate_crop_uri)
    )
    return replace(candidate, query_crop_uri=query, candidate_crop_uri=other)


def _not_shown(unreadable: Mapping[str, ThroughlineError]) -> tuple[Incident, ...]:
    if not unreadable:
        return ()
    first = next(iter(unreadable.values()))
    return (
        Incident(
            "crops_not_shown", "", f"{len(unreadable)} crops of pairs cannot be shown beside their clips: {first}"
        ),
    )


def _score_row(each: _Scored, outcome: Outcome, candidates: int) -> tuple[object, ...]:
    found, judgement = each.compared, each.judgement
    track, span = found.track.track, found.track.span
    place = candidates if outcome is Outcome.CANDIDATE else 0
    where = (place, track.camera, track.tracks_key, track.number, span.start.ns, span.end.ns)
    looks = (found.box_count, found.cosine, found.likeness, each.similarity, found.time_gap_ns, outcome.value)
    return (*where, *looks, each.appearance, judgement.ratio, judgement.reason)


def _incidents(scored: Sequence[_Scored], rules: RankRules, calibrations: Calibrations) -> tuple[Incident, ...]:
    incidents = []
    over = sum(each.reaches and each.outcome is None for each in scored) - rules.max_candidates
    if over > 0:
        message = f"{over} more tracks reach the threshold than the {rules.max_candidates} candidates asked for; raise the threshold"
        incidents.append(Incident("candidates_cut", "", message))
    if calibrations.cosines is None:
        message = (
            "the ReID model has no calibration, so similarities are given as 0; run `throughline models calibrate`"
        )
        incidents.append(Incident("not_calibrated", "", message))
    elif calibrations.rule is None:
        message = (
            f"the ReID model's calibration is for {calibrations.known}, so tracks are compared by their mean descriptors, which is "
            "less sure; run `throughline models calibrate` again"
        )
        incidents.append(Incident("calibrated_for_cosines", "", message))
    return tuple(incidents)
