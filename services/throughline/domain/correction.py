"""What the answers of a site's reviewers say of a ReID model's calibration: a shift and a stretch of its log odds. NumPy only.

Reviewers see pairs that are likely by looks, of which few are of one person, since one track of hundreds is; a calibration speaks of
equal priors. So the prior odds are taken out: the share of the compared tracks that show the person, as far as answers tell it. Who
answers errs now and then, which counts where hundreds of wrong pairs are asked about for a few right ones. Where answers are few the
correction stays near none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.calibration import Floats
from throughline.domain.errors import InvalidInput

LEAST_ANSWERS = 20
"""Of each verdict; fewer correct nothing."""
LEAST_JOBS = 5
_OFFSET_SPREAD, _SLOPE_SPREAD = 0.5, 0.25
"""Standard deviations of the offset, and of the slope's logarithm, that are expected before anybody has answered."""
_FARTHEST = (2.0, math.log(2))
"""Of both from none, whatever is answered: whom a correction hides, nobody can answer any more."""
_MISTAKEN = 0.015
"""Share of answers that are taken to be wrong."""
_REACHED = 0.9
"""Share of the person's tracks that are alike enough to be asked about."""
_JOB_WEIGHT = 15.0
"""Answers of one job count as so many at most: all of them are about one person, and people differ more than answers do."""
_SMALLEST = 1e-6
_ROUNDS, _SETTLED, _LONGEST_STEP = 200, 1e-6, 0.5


@dataclass(frozen=True, slots=True)
class Correction:
    """Log odds become `offset` + `slope` times themselves. It was learned from `valid` and `invalid` answers in `jobs` jobs, to
    similarities of the calibration that `calibrated_by` names."""

    offset: float
    slope: float
    valid: int
    invalid: int
    jobs: int
    calibrated_by: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.offset) and math.isfinite(self.slope) and self.slope > 0):
            raise InvalidInput(
                f"a correction of offset {self.offset:g} and slope {self.slope:g}; give numbers, the slope over 0"
            )

    def apply(self, probability: NDArray[np.floating] | float) -> Floats:
        """P(same person) at equal priors on this site, from the model's own, of any shape; NaN stays NaN."""
        return np.asarray(_sigmoid(self.offset + self.slope * log_odds(probability)))


@dataclass(frozen=True)
class Reviewed:
    """What one job tells: how many tracks were `compared` with its person, and of those that people could be asked about (n,)
    `appearance`, the model's own P(same person) by looks, (n,) `ratio`, how much likelier all else that was known made it, and (n,)
    `valid`: 1, 0, or NaN where nobody knows."""

    compared: int
    appearance: Floats
    ratio: Floats
    valid: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.valid)


def log_odds(probability: NDArray[np.floating] | float) -> Floats:
    """Finite for 0 and 1 too."""
    sure = np.clip(np.asarray(probability, np.float64), _SMALLEST, 1 - _SMALLEST)
    return np.asarray(np.log(sure / (1 - sure)))


def learn_correction(jobs: Sequence[Reviewed], calibrated_by: str = "") -> Correction | None:
    """The likeliest correction, by what was expected and what people answered; None where they answered too little."""
    jobs = [each for each in jobs if each.known.any()]
    if not jobs:
        return None
    known = np.concatenate([each.known for each in jobs])
    said = np.concatenate([each.valid for each in jobs])
    valid, invalid = int((said[known] == 1).sum()), int((said[known] == 0).sum())
    if min(valid, invalid) < LEAST_ANSWERS or len(jobs) < LEAST_JOBS:
        return None
    looks = np.concatenate([log_odds(each.appearance) for each in jobs])
    other = np.concatenate([np.log(np.maximum(each.ratio, _SMALLEST)) for each in jobs])
    by_job = [min(1.0, _JOB_WEIGHT / int(each.known.sum())) for each in jobs]
    weights = np.repeat(by_job, [len(each.valid) for each in jobs])
    compared = sum(weight * max(each.compared, len(each.valid)) for weight, each in zip(by_job, jobs, strict=True))
    theta, true = np.zeros(2), np.where(known, said, 0.0)
    for _ in range(_ROUNDS):
        shown = min(max(float(weights @ true) / _REACHED, 0.5), compared / 2)
        prior = other + math.log(shown / (compared - shown))
        step = _step(theta, looks, prior, true, np.where(known, weights, 0.0))
        before, theta = theta, np.clip(theta + step, np.negative(_FARTHEST), _FARTHEST)
        true = _true(_sigmoid(theta[0] + np.exp(theta[1]) * looks + prior), said)
        if np.abs(theta - before).max() < _SETTLED:
            break
    offset, slope = float(theta[0]), math.exp(float(theta[1]))
    return Correction(round(offset, 6), round(slope, 6), valid, invalid, len(jobs), calibrated_by)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


def _true(likely: Floats, said: Floats) -> Floats:
    """(n,) probability that a pair is of one person, by all that is known and by what somebody said of it."""
    if_same, if_not = (np.where(said == 1, each, 1 - each) for each in (1 - _MISTAKEN, _MISTAKEN))
    told = likely * if_same / (likely * if_same + (1 - likely) * if_not)
    return np.where(np.isnan(said), likely, told)


def _step(theta: Floats, looks: Floats, prior: Floats, true: Floats, weights: Floats) -> Floats:
    """One step of Newton's method for offset and the slope's logarithm."""
    spread = np.array([_OFFSET_SPREAD, _SLOPE_SPREAD]) ** -2
    stretched = np.exp(theta[1]) * looks
    p = _sigmoid(theta[0] + stretched + prior)
    design = np.stack([np.ones_like(stretched), stretched], axis=1)
    gradient = design.T @ (weights * (true - p)) - spread * theta
    hessian = (design * (weights * p * (1 - p))[:, None]).T @ design + np.diag(spread)
    step = np.linalg.solve(hessian, gradient)
    return np.asarray(step * min(1.0, _LONGEST_STEP / max(float(np.abs(step).max()), _SETTLED)))
