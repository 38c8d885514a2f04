"""The stage that ranks tracks, and keeps the rankings with their jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from throughline.domain.calibration import Calibration
from throughline.domain.errors import Conflict, FailedPrecondition
from throughline.domain.pairs import Candidate
from throughline.domain.work import Incident
from throughline.perception.triton.client import REID, InferenceClient
from throughline.storage import documents
from throughline.storage.workspace import Artifact, Workspace, artifact_key
from throughline.tracker.artifacts import CameraTracks
from throughline.tracker.locate import LocatedQuery
from throughline.tracker.match import EVEN_ODDS
from throughline.tracker.pair_pictures import PairPictures
from throughline.tracker.pins import pinned_reid
from throughline.tracker.rank import NOTHING, RANKING_FILE, Calibrations, Ranking, RankRules, Scale, rank
from throughline.tracker.space import Known

SCOUTS = 0
"""In place of a round's number: the ranking of a fast search's first pass, which tells where to look closer."""


class RankStage:
    """Ranks and keeps the results with their jobs."""

    def __init__(self, workspace: Workspace, client: InferenceClient) -> None:
        self._workspace = workspace
        self._client = client

    def run(
        self,
        job_round: tuple[str, int],
        query: LocatedQuery,
        cameras: Sequence[CameraTracks],
        rules: RankRules,
        known: Known = NOTHING,
    ) -> tuple[Artifact, Ranking]:
        """Rank all tracks of `cameras` for one round (from 1, or SCOUTS) of a job."""
        job_id, round_number = job_round
        folder = f"jobs/{job_id}/scores/{round_number}"
        asked = artifact_key(
            query=query.asked,
            tracks=sorted([each.artifact.key, _document(each.clock)] for each in cameras),
            rules=_document(rules),
            known=_document(known),
        )
        artifact = self._workspace.find(folder)
        if artifact is None:
            card = pinned_reid(self._workspace, self._client, job_id).model(REID)
            calibrations = Calibrations(_usable(card.calibration, rules), card.matching)
            check_models(card.digest, cameras)
            calibrated_by = _name(card.digest, calibrations)
            known, told = _corrected(known, calibrated_by)
            with self._workspace.create(folder) as place:
                pictures = PairPictures(place, kept=round_number != SCOUTS)
                ranking = rank(query, cameras, rules, calibrations, pictures, known)
                ranking = replace(
                    ranking,
                    asked=asked,
                    reid_digest=card.digest,
                    calibrated_by=calibrated_by,
                    incidents=(*ranking.incidents, *told),
                )
                (place / RANKING_FILE).write_bytes(documents.dump(ranking))
            artifact = self._workspace.get(folder)
        ranking = read_ranking(artifact)
        if ranking.asked != asked:
            raise Conflict(
                f"round {round_number} of job {job_id} was ranked from other tracks or by other rules; submit a new job"
            )
        return artifact, ranking


def _document(value: object) -> str:
    return documents.compact(value).decode()


def read_ranking(artifact: Artifact) -> Ranking:
    """The content of a scores artifact's candidates.json, with the URIs of the crops that lie beside it. Older ones name URIs, of
    crops that lie with their tracks."""
    ranking = documents.load(Ranking, artifact.path(RANKING_FILE).read_bytes())
    return replace(ranking, candidates=tuple(_placed(each, artifact) for each in ranking.candidates))


def _placed(candidate: Candidate, artifact: Artifact) -> Candidate:
    query, other = (
        crop if not crop or "://" in crop else artifact.uri_of(crop)
        for crop in (candidate.query_crop_uri, candidate.candidate_crop_uri)
    )
    return replace(candidate, query_crop_uri=query, candidate_crop_uri=other)


def _usable(calibration: Calibration | None, rules: RankRules) -> Calibration | None:
    if calibration is None and rules.scale is Scale.CALIBRATED:
        raise FailedPrecondition(
            "the ReID model has no calibration; run `throughline models calibrate`, or give the threshold on the cosine scale"
        )
    return calibration


def _name(reid_digest: str, calibrations: Calibrations) -> str:
    """Stands for all that makes similarities of looks; empty without a calibration."""
    applied = calibrations.applied
    if applied is None:
        return ""
    return artifact_key(reid=reid_digest, likeness=calibrations.likeness, calibration=applied.digest)


def _corrected(known: Known, calibrated_by: str) -> tuple[Known, tuple[Incident, ...]]:
    """What is known, with a correction only if it is of this calibration, and what to tell of it."""
    correction = known.correction
    if correction is None:
        return known, ()
    answers = f"{correction.valid} pairs confirmed and {correction.invalid} rejected in {correction.jobs} jobs"
    if correction.calibrated_by != calibrated_by:
        message = (
            f"the site's answers ({answers}) are to similarities of another ReID model or calibration, so they correct none here; "
            "answers to this one will"
        )
        return replace(known, correction=None), (Incident("correction_not_used", "", message),)
    message = (
        f"similarities are corrected by what reviewers of this site answered, {answers}: even odds by the model's calibration are "
        f"{float(correction.apply(EVEN_ODDS)):.2f} here (log odds times {correction.slope:.3f} {correction.offset:+.3f}); "
        "appearance_similarity is the model's own"
    )
    return known, (Incident("calibration_corrected", "", message),)


def check_models(digest: str, cameras: Sequence[CameraTracks]) -> None:
    """Embeddings of different models cannot be compared."""
    for each in cameras:
        if each.summary.reid_digest != digest:
            raise FailedPrecondition(
                f"tracks of camera {each.camera} were embedded by ReID model {each.summary.reid_digest[:12]}, and {digest[:12]} "
                "is served now; track again, or serve the model that they were made with"
            )
