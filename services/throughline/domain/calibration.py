"""From a cosine to the probability that two descriptors are of the same person, at equal priors. NumPy only."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput

Floats = NDArray[np.float64]

_BINS = 24
_LEAST_PAIRS = 8
_SMOOTH_SHARE = 0.02
"""Share of the logistic curve in the result: it keeps flat stretches of the isotonic one strictly increasing."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A strictly increasing, piecewise linear map, so that ranking by probability is ranking by cosine.

    `knots_cosine` runs from -1 to 1; `knots_probability` are P(same person) there, at equal priors. `fitted_on` names the labelled
    data, `n_same` and `n_different` count its pairs.
    """

    knots_cosine: tuple[float, ...]
    knots_probability: tuple[float, ...]
    fitted_on: str
    n_same: int
    n_different: int

    def __post_init__(self) -> None:
        cosine, probability = np.array(self.knots_cosine), np.array(self.knots_probability)
        if cosine.shape != probability.shape or cosine.size < 2:
            raise InvalidInput("a calibration needs two or more knots, each with a cosine and a probability")
        if not (np.isfinite(cosine).all() and np.isfinite(probability).all()):
            raise InvalidInput("a calibration's knots must be finite numbers")
        if (np.diff(cosine) <= 0).any() or (np.diff(probability) <= 0).any():
            raise InvalidInput("a calibration's knots must increase strictly, in cosine and in probability")
        if probability[0] < 0 or probability[-1] > 1:
            raise InvalidInput("a calibration's probabilities must lie from 0 to 1")

    def apply(self, cosine: NDArray[np.floating]) -> Floats:
        """P(same person) for cosines of any shape; beyond the outer knots it stays at theirs."""
        return np.interp(np.asarray(cosine, np.float64), self.knots_cosine, self.knots_probability)

    def inverse(self, probability: float) -> float:
        """The cosine at which the probability is reached; the outermost where it never is."""
        return float(np.interp(probability, self.knots_probability, self.knots_cosine))

    @property
    def digest(self) -> str:
        """SHA-256 of all that it is, in hex; part of the key of every ranking made with it."""
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()


def fit(cosines: NDArray[np.floating], same: NDArray[np.bool_], fitted_on: str) -> Calibration:
    """Fit to pairs with (n,) `cosines`, of which (n,) `same` says whether they are of one person.

    Same and different weigh 50/50 however many there are of each. Isotonic regression over bins of equal weight, drawn towards a
    logistic curve where pairs are few. Raises InvalidInput when there are too few pairs, or when same ones are not the closer ones.
    """
    x, same = np.asarray(cosines, np.float64), np.asarray(same, bool)
    n_same, n_different = int(same.sum()), int((~same).sum())
    if min(n_same, n_different) < _LEAST_PAIRS:
        raise InvalidInput(
            f"a calibration needs {_LEAST_PAIRS} or more pairs of the same and of different people; there are {n_same} and {n_different}"
        )
    if not np.isfinite(x).all():
        raise InvalidInput("a cosine to calibrate on is not a finite number; see to the embeddings")
    weights = np.where(same, 0.5 / n_same, 0.5 / n_different)
    offset, slope = _logistic(x, same, weights)
    if slope <= 0:
        raise InvalidInput(
            "pairs of the same person are no closer than others: this model cannot be calibrated on these labels"
        )
    centres, shares, masses = _bins(x, same, weights)
    curve = _sigmoid(offset + slope * centres)
    prior = 1 / min(n_same, n_different)
    isotonic = _increasing((shares * masses + curve * prior) / (masses + prior), masses + prior)
    inner = centres > -1, centres < 1
    kept = inner[0] & inner[1]
    x = np.concatenate([[-1.0], centres[kept], [1.0]])
    flat = np.concatenate([isotonic[:1] * 0.5, isotonic[kept], (1 + isotonic[-1:]) * 0.5])
    probability = (1 - _SMOOTH_SHARE) * flat + _SMOOTH_SHARE * (
        0.01 * (x + 1) / 2 + 0.99 * _sigmoid(offset + slope * x)
    )
    return Calibration(tuple(x.tolist()), tuple(probability.tolist()), fitted_on, n_same, n_different)


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(x / 2))


def _logistic(x: Floats, same: NDArray[np.bool_], weights: Floats) -> tuple[float, float]:
    """Offset and slope of the weighted logistic regression, by Newton's method with a little shrinkage of the slope."""
    design = np.stack([np.ones_like(x), x], axis=1)
    ridge = np.diag([0.0, 1e-4])
    theta = np.zeros(2)
    for _ in range(50):
        p = _sigmoid(design @ theta)
        gradient = design.T @ (weights * (same - p)) - ridge @ theta
        hessian = (design * (weights * p * (1 - p))[:, None]).T @ design + ridge + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        theta += step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return float(theta[0]), float(theta[1])


def _bins(x: Floats, same: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Weighted centre, share of same pairs and weight of each of up to `_BINS` bins of about equal weight, by rising cosine."""
    order = np.argsort(x, kind="stable")
    x, same, weights = x[order], same[order], weights[order]
    bins = np.minimum((np.cumsum(weights) - weights / 2) * _BINS, _BINS - 1).astype(int)
    masses = np.bincount(bins, weights, _BINS)
    used = masses > 0
    centres = np.bincount(bins, weights * x, _BINS)[used] / masses[used]
    shares = np.bincount(bins, weights * same, _BINS)[used] / masses[used]
    distinct = np.concatenate([[True], np.diff(centres) > 1e-9])
    return centres[distinct], shares[distinct], masses[used][distinct]


def _increasing(values: Floats, weights: Floats) -> Floats:
    """The closest non-decreasing values: pool adjacent violators."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, u, m), (b, v, n) = blocks[-2:]
            blocks[-2:] = [((a * u + b * v) / (u + v), u + v, m + n)]
    return np.concatenate([np.full(n, value) for value, _, n in blocks])
