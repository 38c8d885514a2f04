"""The stage that ranks tracks, and keeps the rankings with their jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from throughline.domain.calibration import Calibration
from throughline.domain.errors import Conflict, FailedPrecondition
from throughline.perception.triton.client import REID, InferenceClient
from throughline.storage import documents
from throughline.storage.workspace import Artifact, Workspace, artifact_key
from throughline.tracker.artifacts import CameraTracks
from throughline.tracker.locate import LocatedQuery
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
        asked, asked_before = (_digest(query, cameras, rules, known, spelled) for spelled in (_document, repr))
        artifact = self._workspace.find(folder)
        if artifact is None:
            card = pinned_reid(self._workspace, self._client, job_id).model(REID)
            calibrations = Calibrations(_usable(card.calibration, rules), card.matching)
            check_models(card.digest, cameras)
            with self._workspace.create(folder) as place:
                ranking = rank(query, cameras, rules, calibrations, place, known)
                ranking = replace(ranking, asked=asked, reid_digest=card.digest)
                (place / RANKING_FILE).write_bytes(documents.dump(ranking))
            artifact = self._workspace.get(folder)
        ranking = read_ranking(artifact)
        if ranking.asked not in (asked, asked_before):
            raise Conflict(
                f"round {round_number} of job {job_id} was ranked from other tracks or by other rules; submit a new job"
            )
        return artifact, ranking


def _digest(
    query: LocatedQuery,
    cameras: Sequence[CameraTracks],
    rules: RankRules,
    known: Known,
    spelled: Callable[[object], str],
) -> str:
    """Stands for what a round was asked. Releases before this one spelled it as Python does, and jobs that they left may be ranked
    again."""
    return artifact_key(
        query=query.asked,
        tracks=sorted([each.artifact.key, spelled(each.clock)] for each in cameras),
        rules=spelled(rules),
        **({} if known == NOTHING else {"known": spelled(known)}),
    )


def _document(value: object) -> str:
    return documents.compact(value).decode()


def read_ranking(artifact: Artifact) -> Ranking:
    """The content of a scores artifact's candidates.json."""
    return documents.load(Ranking, artifact.path(RANKING_FILE).read_bytes())


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
