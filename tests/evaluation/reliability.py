"""How well probabilities hold: pairs of the same and of different people weigh 50/50, as in the calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.bench.measure import Measure
from throughline.simulation.scoring import auc

_BINS = 10
_NEAR = (0.4, 0.6)


def auc_of(values: NDArray[np.floating], same: NDArray[np.bool_]) -> float:
    """Chance that a pair of one person has the higher value."""
    return auc(values[same], values[~same])


def calibration_error(probabilities: NDArray[np.floating], same: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins: how far the share of same pairs is from the mean probability."""
    weights = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    bins = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
    return float(np.abs(np.bincount(bins, weights * (same - probabilities), _BINS)).sum())


def reliability(
    name: str, probabilities: NDArray[np.floating], same: NDArray[np.bool_], bar: float | None = None
) -> list[Measure]:
    """The error, and what share of the pairs near even odds is right."""
    weights = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    near = (probabilities >= _NEAR[0]) & (probabilities <= _NEAR[1])
    precision = float((weights * same)[near].sum() / weights[near].sum()) if near.any() else float("nan")
    return [
        Measure(f"{name}: expected calibration error", calibration_error(probabilities, same), "", bar),
        Measure(
            f"{name}: precision of the {near.sum()} pairs near even odds, {same[near].sum()} the same", precision, ""
        ),
    ]
