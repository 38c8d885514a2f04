"""What makes a demonstration wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from throughline.cli.demo_report import Findings, checks
from throughline.cli.evidence.finding import Finding, Outcome
from throughline.media.film import Film
from throughline.simulation.evaluation import Evaluation
from throughline.simulation.scoring import FilmScore, Retrieval
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import VERDICT_VALID

SECOND = 1_000_000_000
GOOD_RETRIEVAL = Retrieval(candidates=2, wrong=1, true=1, missed=(), auc=1.0)
GOOD_FILM = FilmScore(1.0, SECOND, 1.0, SECOND, (0,), (0,))


@pytest.fixture
def good(tmp_path: Path) -> Findings:
    """A demonstration in which everything is right."""
    cv2.imwrite(str(tmp_path / "sheet.jpg"), np.zeros((8, 8, 3), np.uint8))
    return Findings(
        job=pb.Job(
            job_id="j",
            state=pb.JOB_STATE_SUCCEEDED,
            candidates=[pb.CandidateState(pair_id="p", verdict=VERDICT_VALID)],
            timeline=pb.TimelineResult(duration_ns=SECOND),
        ),
        evaluation=Evaluation("ada", True, GOOD_RETRIEVAL, GOOD_FILM),
        film=Film(tmp_path / "film.mp4", 15, 1.0),
        contact_sheet=tmp_path / "sheet.jpg",
        clips=(tmp_path / "clip.mp4",),
        alerts=1,
        evidence=(Finding(Outcome.RIGHT, "film film.mp4", "is as it was"),),
    )


def _wrong(found: Findings) -> list[str]:
    return [check.what for check in checks(found) if not check.passed]


def test_a_demonstration_in_which_all_is_right_passes(good: Findings) -> None:
    assert _wrong(good) == []


def test_each_thing_that_is_wrong_is_named(good: Findings) -> None:
    evaluation, film = good.evaluation, good.film
    assert evaluation
    assert film
    wrong = {
        "query located": replace(good, evaluation=replace(evaluation, located=False)),
        "recall": replace(good, evaluation=replace(evaluation, retrieval=replace(GOOD_RETRIEVAL, missed=(("a", 1),)))),
        "precision": replace(good, evaluation=replace(evaluation, retrieval=replace(GOOD_RETRIEVAL, wrong=2))),
        "every pair": replace(good, clips=()),
        "film plays": replace(good, film=replace(film, seconds=0.5)),
        "film shows": replace(good, evaluation=replace(evaluation, film=replace(GOOD_FILM, right_share=0.9))),
        "90% of entrances": replace(
            good, evaluation=replace(evaluation, film=replace(GOOD_FILM, entering_ns=(SECOND,)))
        ),
        "contact sheet": replace(good, contact_sheet=None),
        "alert": replace(good, alerts=2),
        "evidence": replace(good, evidence=(Finding(Outcome.CHANGED, "film film.mp4", "was changed"),)),
    }
    for beginning, found in wrong.items():
        (named,) = _wrong(found)
        assert named.startswith(beginning)


def test_a_job_that_failed_is_wrong_with_its_reason() -> None:
    job = pb.Job(state=pb.JOB_STATE_FAILED, error="no usable footage")
    (check,) = checks(Findings(job, None, None, None, (), 0))
    assert (check.passed, check.found) == (False, "no usable footage")
