"""What the answers of a site's reviewers say of the calibration that its jobs were ranked by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from throughline.domain.correction import Correction, Reviewed, learn_correction, log_odds
from throughline.orchestrator.ranking import WAS_ASKED
from throughline.storage.records.models import Answer, CandidateTrack, Job, RankedRound, Search

_PAIRS_AT_MOST = 100_000
"""Those of the newest jobs; they are read once a job."""
_SAID = {"valid": 1.0, "invalid": 0.0}


@dataclass(frozen=True, slots=True)
class _Ranked:
    """One round that was ranked. `applied`: what its similarities were corrected by."""

    job_id: str
    number: int
    compared: int
    candidates: int
    applied: Correction | None


@dataclass(frozen=True, slots=True)
class _Pair:
    """A pair that people could be asked about. `valid`: 1, 0, or NaN where nobody knows."""

    appearance: float
    ratio: float
    valid: float


def site_correction(session: Session, site: str, but: str, jobs_at_most: int) -> Correction | None:
    """What corrects the calibration that the site's newest ranking was made by, learned from the answers of its newest jobs except
    one; None where they say too little."""
    jobs = select(Job.job_id).where(Job.site == site, Job.job_id != but)
    jobs = jobs.order_by(Job.created_ns.desc(), Job.job_id).limit(jobs_at_most)
    query = (
        select(RankedRound, Search.correction)
        .join(Search, Search.job_id == RankedRound.job_id)
        .join(Job, Job.job_id == RankedRound.job_id)
        .where(RankedRound.job_id.in_(jobs))
        .order_by(Job.created_ns.desc(), Job.job_id, RankedRound.round)
    )
    found = session.execute(query).all()
    if not found:
        return None
    calibrated_by = found[0][0].calibrated_by
    ranked = _newest(
        _Ranked(row.job_id, row.round, row.compared, row.candidates, _applied(row, stored))
        for row, stored in found
        if row.calibrated_by == calibrated_by
    )
    return learn_correction(_reviewed(ranked, _pairs(session, ranked)), calibrated_by)


def to_record(correction: Correction | None) -> dict[str, Any]:
    """As it stands in the records; none is empty."""
    return {} if correction is None else asdict(correction)


def from_record(stored: dict[str, Any]) -> Correction | None:
    return Correction(**stored) if stored else None


def _applied(row: RankedRound, stored: dict[str, Any]) -> Correction | None:
    pinned = from_record(stored)
    return pinned if pinned is not None and pinned.calibrated_by == row.calibrated_by else None


def _newest(ranked: Iterable[_Ranked]) -> list[_Ranked]:
    """The first ones, as many as have no more pairs together than are read."""
    several = list(ranked)
    totals = accumulate(each.candidates for each in several)
    return [each for each, total in zip(several, totals, strict=True) if total <= _PAIRS_AT_MOST]


def _pairs(session: Session, ranked: Sequence[_Ranked]) -> dict[str, dict[str, _Pair]]:
    """By job and pair what was answered; an answer that stands may have come late."""
    rounds = {(each.job_id, each.number): each for each in ranked}
    answered = and_(
        *(getattr(Answer, name) == getattr(CandidateTrack, name) for name in ("job_id", "round", "pair_id"))
    )
    pair = (CandidateTrack.job_id, CandidateTrack.round, CandidateTrack.pair_id)
    scores = (CandidateTrack.appearance, CandidateTrack.similarity, CandidateTrack.space_time)
    query = (
        select(*pair, *scores, Answer.verdict)
        .outerjoin(Answer, answered)
        .where(CandidateTrack.job_id.in_({each.job_id for each in ranked}), WAS_ASKED)
        .order_by(Answer.annotated_ns, Answer.id)
    )
    jobs: dict[str, dict[str, _Pair]] = {}
    for job_id, number, pair_id, appearance, similarity, space_time, verdict in session.execute(query):
        of_round = rounds.get((job_id, number))
        if of_round is not None:
            ratio = _ratio(appearance, similarity, of_round.applied) if space_time else 1.0
            jobs.setdefault(job_id, {})[pair_id] = _Pair(appearance, ratio, _SAID.get(verdict, float("nan")))
    return jobs


def _ratio(appearance: float, similarity: float, applied: Correction | None) -> float:
    """How much likelier space and time made it."""
    looks = appearance if applied is None else applied.apply(appearance)
    return float(np.exp(log_odds(similarity) - log_odds(looks)))


def _reviewed(ranked: Sequence[_Ranked], pairs: dict[str, dict[str, _Pair]]) -> list[Reviewed]:
    compared: dict[str, int] = {}
    for each in ranked:
        # A later round compares those again whom nobody was asked about.
        compared[each.job_id] = max(compared.get(each.job_id, 0), each.compared)
    jobs = []
    for job_id, several in pairs.items():
        columns = zip(*((each.appearance, each.ratio, each.valid) for each in several.values()), strict=True)
        appearance, ratio, valid = (np.array(column, np.float64) for column in columns)
        jobs.append(Reviewed(compared[job_id], appearance, ratio, valid))
    return jobs
