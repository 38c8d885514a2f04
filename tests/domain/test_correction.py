"""Answers correct a calibration that is off, and hardly touch one that is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from throughline.domain.calibration import Floats
from throughline.domain.correction import LEAST_ANSWERS, Correction, Reviewed, learn_correction, log_odds
from throughline.domain.errors import InvalidInput

APART = 2.8
"""Between the log odds of different people and of the same, in standard deviations: an AUC of 0.976."""


def calibrated(log_ratio: Floats) -> Floats:
    return 1 / (1 + np.exp(-log_ratio))


def drawn(rng: np.random.Generator, same: int, different: int) -> tuple[Floats, Floats]:
    """True log odds at equal priors, and which are of one person."""
    valid = np.arange(same + different) < same
    return rng.normal(np.where(valid, APART**2 / 2, -(APART**2) / 2), APART), valid.astype(np.float64)


def review(rng: np.random.Generator, offset: float, slope: float, wrong: float = 0.01) -> Reviewed:
    """A job of a model whose log odds are off: `offset` + `slope` times them are right. Pairs of even odds by it are asked about."""
    true, valid = drawn(rng, int(rng.integers(1, 16)), int(rng.integers(100, 1200)))
    claimed = (true - offset) / slope
    asked = claimed >= 0
    answers = np.where(rng.random(len(valid)) < wrong, 1 - valid, valid)[asked]
    answers[rng.random(len(answers)) < 0.05] = np.nan
    return Reviewed(len(valid), calibrated(claimed[asked]), np.ones(len(answers)), answers)


def error(found: Correction | None, offset: float, slope: float) -> float:
    """Mean difference of the claimed and the true probability over pairs that are of one person as often as not."""
    true, _ = drawn(np.random.default_rng(1), 20_000, 20_000)
    claimed = calibrated((true - offset) / slope)
    return float(np.abs((claimed if found is None else found.apply(claimed)) - calibrated(true)).mean())


@pytest.mark.parametrize(
    ("offset", "slope"), [(-1.0, 1.0), (1.0, 1.0), (0.0, 0.6), (0.0, 1.5), (-1.5, 0.7), (1.0, 0.7)]
)
def test_a_calibration_that_is_off_is_put_right(offset: float, slope: float) -> None:
    rng = np.random.default_rng(2)
    found = learn_correction([review(rng, offset, slope) for _ in range(60)])
    assert error(found, offset, slope) < min(0.03, error(None, offset, slope) / 1.5)


def test_one_that_is_right_stays_so_though_few_of_those_asked_about_are_true() -> None:
    rng = np.random.default_rng(3)
    jobs = [review(rng, 0.0, 1.0) for _ in range(60)]
    asked = np.concatenate([each.valid for each in jobs])
    assert np.nanmean(asked) < 0.15
    assert error(learn_correction(jobs), 0.0, 1.0) < 0.02


def test_few_answers_barely_move_it() -> None:
    rng = np.random.default_rng(4)
    jobs = [review(rng, -1.0, 1.0) for _ in range(60)]
    few, many = learn_correction(jobs[:5]), learn_correction(jobs)
    assert few is not None
    assert many is not None
    assert (few.jobs, many.jobs) == (5, 60)
    assert abs(few.offset) < abs(many.offset)
    assert error(few, 0.0, 1.0) < 0.06


def test_too_few_answers_or_jobs_or_one_verdict_alone_correct_nothing() -> None:
    rng = np.random.default_rng(5)
    jobs = [review(rng, -1.0, 1.0) for _ in range(30)]
    assert learn_correction([]) is None
    assert learn_correction(jobs[:4]) is None
    assert learn_correction([replace(each, valid=np.zeros_like(each.valid)) for each in jobs]) is None
    assert learn_correction([replace(each, valid=np.full_like(each.valid, np.nan)) for each in jobs]) is None
    few = [Reviewed(100, np.full(6, 0.8), np.ones(6), np.array([1, 1, 1, 0, 0, np.nan])) for _ in range(6)]
    assert 3 * len(few) < LEAST_ANSWERS
    assert learn_correction(few) is None


def test_what_space_and_time_said_is_allowed_for() -> None:
    rng = np.random.default_rng(6)
    jobs = [review(rng, 0.0, 1.0, wrong=0.0) for _ in range(40)]
    known = []
    for each in jobs:
        told = np.exp(rng.normal(np.where(each.valid == 1, 2.0, -2.0), 2.0))  # a ratio whose odds are true
        kept = log_odds(each.appearance) + np.log(told) >= 0
        known.append(Reviewed(each.compared, each.appearance[kept], told[kept], each.valid[kept]))
    assert error(learn_correction(known), 0.0, 1.0) < 0.025
    ignored = [replace(each, ratio=np.ones_like(each.ratio)) for each in known]
    assert error(learn_correction(ignored), 0.0, 1.0) > error(learn_correction(known), 0.0, 1.0)


def test_a_correction_is_strictly_increasing_whatever_people_answered() -> None:
    rng = np.random.default_rng(7)
    upside_down = []
    for _ in range(20):
        asked = review(rng, 0.0, 1.0)
        upside_down.append(replace(asked, valid=(asked.appearance < np.median(asked.appearance)).astype(np.float64)))
    found = learn_correction(upside_down)
    assert found is not None
    assert (np.diff(found.apply(np.linspace(0.001, 0.999, 500))) > 0).all()
    assert 0 < found.apply(0.0) < found.apply(1.0) < 1


def test_no_answers_move_it_without_bounds() -> None:
    looks = np.linspace(0.5, 0.99, 200)
    picky = [Reviewed(200, looks, np.ones(200), (looks > 0.95).astype(np.float64)) for _ in range(100)]
    found = learn_correction(picky)
    assert found is not None
    assert -2 <= found.offset <= 2
    assert 0.5 <= found.slope <= 2


def test_the_same_answers_give_the_same_correction_to_the_last_digit() -> None:
    def learned() -> Correction | None:
        rng = np.random.default_rng(8)
        return learn_correction([review(rng, 0.5, 0.8) for _ in range(10)])

    assert learned() == learned()


@pytest.mark.parametrize(("offset", "slope"), [(0.0, 0.0), (0.0, -1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_correction_that_is_none_is_refused(offset: float, slope: float) -> None:
    with pytest.raises(InvalidInput, match="give numbers, the slope over 0"):
        Correction(offset, slope, 30, 30, 5)
