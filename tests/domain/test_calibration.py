from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.domain.calibration import Calibration, fit
from throughline.domain.errors import InvalidInput


def _normal_pairs(n_same: int, n_different: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of same people around 0.76 and of different ones around 0.57, both with a deviation of 0.08."""
    random = np.random.default_rng(seed)
    cosines = np.concatenate([random.normal(0.76, 0.08, n_same), random.normal(0.57, 0.08, n_different)])
    return np.clip(cosines, -1, 1), np.arange(n_same + n_different) < n_same


def test_probabilities_are_those_of_the_distributions_that_made_the_pairs() -> None:
    cosines, same = _normal_pairs(4000, 4000)
    x = np.linspace(0.45, 0.9, 10)
    likelihood_ratio = np.exp(((x - 0.57) ** 2 - (x - 0.76) ** 2) / (2 * 0.08**2))
    truth = likelihood_ratio / (1 + likelihood_ratio)
    assert np.abs(fit(cosines, same, "normal").apply(x) - truth).max() < 0.06


def test_priors_of_the_data_do_not_matter() -> None:
    even, rare = fit(*_normal_pairs(3000, 3000), "even"), fit(*_normal_pairs(300, 30000, seed=1), "rare")
    x = np.linspace(0.5, 0.85, 8)
    assert np.abs(even.apply(x) - rare.apply(x)).max() < 0.1


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), n_same=st.integers(8, 60), n_different=st.integers(8, 300))
def test_ranking_is_kept_however_few_the_pairs(seed: int, n_same: int, n_different: int) -> None:
    cosines, same = _normal_pairs(n_same, n_different, seed)
    try:
        calibration = fit(cosines, same, "few")
    except InvalidInput:
        return  # so few that the same ones are not the closer ones
    x = np.linspace(-1, 1, 2001)
    assert (np.diff(calibration.apply(x)) > 0).all()
    assert calibration.apply(np.array([-1.0]))[0] >= 0
    assert calibration.apply(np.array([1.0]))[0] <= 1


def test_perfectly_separated_pairs_are_calibrated_too() -> None:
    cosines = np.concatenate([np.full(20, 0.9), np.full(50, 0.2)])
    calibration = fit(cosines, np.arange(70) < 20, "separated")
    assert calibration.apply(np.array([0.2]))[0] < 0.1
    assert calibration.apply(np.array([0.9]))[0] > 0.9


def test_a_shape_is_kept() -> None:
    calibration = Calibration((-1.0, 0.0, 1.0), (0.0, 0.25, 1.0), "by hand", 1, 1)
    np.testing.assert_allclose(calibration.apply(np.array([[0.5, -0.5], [2.0, -2.0]])), [[0.625, 0.125], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("cosines", "probabilities"),
    [
        ((0.0,), (0.5,)),
        ((0.0, 0.0), (0.1, 0.2)),
        ((0.0, 1.0), (0.2, 0.2)),
        ((0.0, 1.0), (-0.1, 1.0)),
        ((0.0, np.nan), (0.1, 0.2)),
    ],
)
def test_knots_that_would_lose_the_ranking_are_refused(
    cosines: tuple[float, ...], probabilities: tuple[float, ...]
) -> None:
    with pytest.raises(InvalidInput):
        Calibration(cosines, probabilities, "bad", 1, 1)


def test_labels_that_contradict_the_model_are_refused() -> None:
    cosines, same = _normal_pairs(100, 100)
    with pytest.raises(InvalidInput, match="no closer than others"):
        fit(cosines, ~same, "swapped")
    with pytest.raises(InvalidInput, match="8 or more pairs"):
        fit(cosines[95:], same[95:], "few")


def test_other_knots_have_another_digest() -> None:
    one, other = fit(*_normal_pairs(100, 100), "one"), fit(*_normal_pairs(100, 100, seed=2), "one")
    assert one.digest == fit(*_normal_pairs(100, 100), "one").digest != other.digest
