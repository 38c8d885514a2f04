"""The stage that orders all tracks by how likely they show the query's person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import pyarrow as pa

from throughline.domain.calibration import Calibration
from throughline.domain.errors import Conflict, FailedPrecondition, InvalidInput
from throughline.domain.pairs import Candidate, TrackSpan, pair_id
from throughline.domain.tracks import TrackEmbeddings
from throughline.domain.work import Incident
from throughline.perception.triton.client import REID, InferenceClient
from throughline.storage import documents
from throughline.storage.columns import TableWriter, schema
from throughline.storage.workspace import Artifact, Workspace, artifact_key
from throughline.tracker.artifacts import CameraTracks
from throughline.tracker.locate import LocatedQuery
from throughline.tracker.match import Compared, Outcome, Person, best_crop_pair, compare, person_of
from throughline.tracker.pins import pinned_reid

SCORES_FILE = "scores.parquet"
RANKING_FILE = "candidates.json"
SCORES = schema(
    "scores 1",
    rank=pa.int32(),
    camera=pa.string(),
    tracks_key=pa.string(),
    track_id=pa.int64(),
    start_ns=pa.int64(),
    end_ns=pa.int64(),
    box_count=pa.int64(),
    cosine=pa.float64(),
    similarity=pa.float64(),
    time_gap_ns=pa.int64(),
    outcome=pa.string(),
)
"""A row per track of all cameras, the most alike first. rank: from 1, 0 for those that are no candidates; start_ns, end_ns: UTC;
cosine, similarity: NaN where there is none; outcome: see Outcome."""


class Scale(StrEnum):
    """What a threshold is compared with."""

    CALIBRATED = "calibrated"
    COSINE = "cosine"


@dataclass(frozen=True, slots=True)
class RankRules:
    """Which tracks are candidates: similarity of at least `threshold` on `scale`, and no more than `max_candidates`."""

    threshold: float = 0.5
    scale: Scale = Scale.CALIBRATED
    max_candidates: int = 500

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise InvalidInput(f"similarity threshold {self.threshold:g}; give 0 to 1")
        if not 1 <= self.max_candidates <= 10_000:
            raise InvalidInput(f"max_candidates {self.max_candidates}; give 1 to 10000")


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


class RankStage:
    """Ranks and keeps the results with their jobs."""

    def __init__(self, workspace: Workspace, client: InferenceClient) -> None:
        self._workspace = workspace
        self._client = client

    def run(
        self, job_id: str, round_number: int, query: LocatedQuery, cameras: Sequence[CameraTracks], rules: RankRules
    ) -> tuple[Artifact, Ranking]:
        """Rank all tracks of `cameras` for one round of a job."""
        folder = f"jobs/{job_id}/scores/{round_number}"
        asked = artifact_key(
            query=query.asked,
            tracks=sorted([each.artifact.key, repr(each.clock)] for each in cameras),
            rules=repr(rules),
        )
        artifact = self._workspace.find(folder)
        if artifact is None:
            card = pinned_reid(self._workspace, self._client, job_id).model(REID)
            calibration = _usable(card.calibration, rules)
            check_models(card.digest, cameras)
            with self._workspace.create(folder) as place:
                ranking = rank(query, cameras, rules, calibration, place)
                ranking = replace(ranking, asked=asked, reid_digest=card.digest)
                (place / RANKING_FILE).write_bytes(documents.dump(ranking))
            artifact = self._workspace.get(folder)
        ranking = read_ranking(artifact)
        if ranking.asked != asked:
            raise Conflict(
                f"round {round_number} of job {job_id} was ranked from other tracks or by other rules; submit a new job"
            )
        return artifact, ranking


def read_ranking(artifact: Artifact) -> Ranking:
    """The content of a scores artifact's candidates.json."""
    return documents.load(Ranking, artifact.path(RANKING_FILE).read_bytes())


def rank(
    query: LocatedQuery,
    cameras: Sequence[CameraTracks],
    rules: RankRules,
    calibration: Calibration | None,
    place: Path,
) -> Ranking:
    """Compare all tracks with the query's, write their scores into `place`, and give the candidates."""
    cameras = sorted(cameras, key=lambda each: each.camera)
    embeddings = [each.embeddings() for each in cameras]
    home = next(
        (row for row, each in enumerate(cameras) if each.artifact.key == query.tracks[0].track.tracks_key), None
    )
    if home is None:
        raise InvalidInput(f"the tracks of the query's camera {query.camera} are not among those to be ranked")
    person = person_of(query, cameras[home], embeddings[home], calibration)
    scored = [_scored(each, rules, calibration) for each in compare(person, cameras, embeddings)]
    candidates: list[Candidate] = []
    with TableWriter(place / SCORES_FILE, SCORES) as writer:
        for each, similarity, reaches in scored:
            outcome = each.outcome or (
                Outcome.BELOW_THRESHOLD
                if not reaches
                else Outcome.OVER_LIMIT
                if len(candidates) == rules.max_candidates
                else Outcome.CANDIDATE
            )
            if outcome is Outcome.CANDIDATE:
                candidates.append(_candidate(person, each, similarity, cameras[each.row], embeddings[each.row]))
            writer.write(*([value] for value in _score_row(each, similarity, outcome, len(candidates))))
    outcomes = [each.outcome for each, _, _ in scored]
    return Ranking(
        asked="",
        rules=rules,
        reid_digest="",
        calibration=calibration,
        query_tracks=query.tracks,
        compared=outcomes.count(None),
        impossible=outcomes.count(Outcome.SAME_TIME),
        candidates=tuple(candidates),
        incidents=_incidents(scored, rules, calibration),
    )


_Scored = tuple[Compared, float, bool]
"""A track, its similarity (NaN where there is none), and whether it reaches the threshold."""


def _scored(each: Compared, rules: RankRules, calibration: Calibration | None) -> _Scored:
    similarity = float("nan") if calibration is None else round(float(calibration.apply(np.array(each.cosine))), 6)
    value = similarity if rules.scale is Scale.CALIBRATED else each.cosine
    return each, similarity, value >= rules.threshold


def _candidate(
    person: Person, each: Compared, similarity: float, camera: CameraTracks, embeddings: TrackEmbeddings
) -> Candidate:
    pair = best_crop_pair(person, each.track.track.number, camera, embeddings)
    return Candidate(
        pair_id=pair_id(person.tracks[0].track, each.track.track),
        track=each.track,
        similarity=0.0 if np.isnan(similarity) else similarity,
        cosine=each.cosine,
        time_gap_ns=each.time_gap_ns,
        query_crop_uri=pair.query_uri,
        candidate_crop_uri=pair.candidate_uri,
        crop_cosine=pair.cosine,
    )


def _score_row(each: Compared, similarity: float, outcome: Outcome, candidates: int) -> tuple[object, ...]:
    track, span = each.track.track, each.track.span
    place = candidates if outcome is Outcome.CANDIDATE else 0
    where = (place, track.camera, track.tracks_key, track.number, span.start.ns, span.end.ns)
    return (*where, each.box_count, each.cosine, similarity, each.time_gap_ns, outcome.value)


def _incidents(scored: Sequence[_Scored], rules: RankRules, calibration: Calibration | None) -> tuple[Incident, ...]:
    incidents = []
    over = sum(reaches and each.outcome is None for each, _, reaches in scored) - rules.max_candidates
    if over > 0:
        message = f"{over} more tracks reach the threshold than the {rules.max_candidates} candidates asked for; raise the threshold"
        incidents.append(Incident("candidates_cut", "", message))
    if calibration is None:
        message = (
            "the ReID model has no calibration, so similarities are given as 0; run `throughline models calibrate`"
        )
        incidents.append(Incident("not_calibrated", "", message))
    return tuple(incidents)


def _usable(calibration: Calibration | None, rules: RankRules) -> Calibration | None:
    if calibration is None and rules.scale is Scale.CALIBRATED:
        raise FailedPrecondition(
            "the ReID model has no calibration; run `throughline models calibrate`, or give the threshold on the cosine scale"
        )
    return calibration


def check_models(digest: str, cameras: Sequence[CameraTracks]) -> None:
    """Embeddings of different models cannot be compared."""
    for each in cameras:
        if each.summary.reid_digest != digest:
            raise FailedPrecondition(
                f"tracks of camera {each.camera} were embedded by ReID model {each.summary.reid_digest[:12]}, and {digest[:12]} "
                "is served now; track again, or serve the model that they were made with"
            )
