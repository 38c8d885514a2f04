"""What the rounds of a job were ranked by, for evidence: read from the rankings that the tracker keeps with the job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from throughline.domain.calibration import Calibration
from throughline.domain.correction import Correction
from throughline.domain.evidence import CalibrationFacts, CorrectionFacts, RankingFacts
from throughline.domain.transits import LearnedTransit
from throughline.orchestrator.rounds import MOST_ROUNDS
from throughline.storage import documents
from throughline.storage.workspace import Artifact, Workspace

_FILE = "candidates.json"


@dataclass(frozen=True, slots=True)
class _Rules:
    threshold: float
    scale: str
    max_candidates: int
    rerank: bool = False


@dataclass(frozen=True, slots=True)
class _RankingAccount:
    """What candidates.json says, as far as evidence needs it; the tracker writes it, and says more."""

    rules: _Rules
    reid_digest: str
    calibration: Calibration | None
    likeness: str = "cosine"
    learned: tuple[LearnedTransit, ...] = ()
    correction: Correction | None = None


def rankings(workspace: Workspace, job_id: str) -> Iterator[tuple[Artifact, RankingFacts]]:
    """Every ranking that is there: of a fast search's first pass, as number 0, and of the rounds.

    Raises CorruptArtifact where one is not as it should be.
    """
    for number in range(MOST_ROUNDS + 1):
        artifact = workspace.find(f"jobs/{job_id}/scores/{number}")
        if artifact is not None:
            yield artifact, _facts(number, documents.load(_RankingAccount, artifact.path(_FILE).read_bytes()))


def _facts(number: int, account: _RankingAccount) -> RankingFacts:
    rules, calibration = account.rules, account.calibration
    return RankingFacts(
        round=number,
        threshold=repr(rules.threshold),
        scale=rules.scale,
        max_candidates=rules.max_candidates,
        reid=account.reid_digest,
        likeness=account.likeness,
        calibration=None if calibration is None else _calibration(calibration),
        learned_transits=len(account.learned),
        correction=None if account.correction is None else _correction(account.correction),
        rerank=rules.rerank,
    )


def _correction(correction: Correction) -> CorrectionFacts:
    return CorrectionFacts(
        offset=repr(correction.offset),
        slope=repr(correction.slope),
        valid=correction.valid,
        invalid=correction.invalid,
        jobs=correction.jobs,
    )


def _calibration(calibration: Calibration) -> CalibrationFacts:
    knots = zip(calibration.knots_cosine, calibration.knots_probability, strict=True)
    return CalibrationFacts(
        fitted_on=calibration.fitted_on,
        same_pairs=calibration.n_same,
        different_pairs=calibration.n_different,
        knots=tuple((repr(likeness), repr(probability)) for likeness, probability in knots),
    )
