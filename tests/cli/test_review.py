"""`throughline review` against a real tier database and a real, scripted orchestrator."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.tier.scripted import ScriptedOrchestrator, review_request, scripted
from throughline.cli.deployment import Deployment
from throughline.cli.main import app
from throughline.domain.pairs import Verdict
from throughline.tier.reviews import Reviews
from throughline.v1.common_pb2 import VERDICT_INVALID, VERDICT_UNSURE, VERDICT_VALID


@pytest.fixture
def orchestrator() -> Iterator[ScriptedOrchestrator]:
    with scripted().serving() as serving:
        yield serving


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    found = Deployment(
        pid=os.getpid(),
        home=tmp_path,
        addresses={},
        s3_endpoint_url="",
        workspace_uri=f"file://{tmp_path / 'workspace'}/",
        tier_database_url=f"sqlite:///{tmp_path / 'tier.db'}",
        alert_database_url=f"sqlite:///{tmp_path / 'alert.db'}",
        token="",
    )
    found.save()
    return found


@pytest.fixture
def reviews(deployment: Deployment, orchestrator: ScriptedOrchestrator) -> Iterator[Reviews]:
    """Three pairs of job-1 wait for answers."""
    opened = Reviews.open(deployment.tier_database_url)
    request = review_request(orchestrator.address, "p1", "p2", "p3")
    for pair in request.pairs:
        pair.clip_uri = f"{deployment.workspace_uri}jobs/job-1/pairs/{pair.pair_id}/clip.mp4"
    opened.take(request)
    yield opened
    opened.close()


def _review(deployment: Deployment, *options: str, typed: str = "") -> Result:
    arguments = ["review", "job-1", "--home", str(deployment.home), *options]
    return CliRunner().invoke(app, arguments, input=typed, env={"COLUMNS": "200"})


def test_letters_and_remarks_become_answers(
    deployment: Deployment, reviews: Reviews, orchestrator: ScriptedOrchestrator
) -> None:
    result = _review(deployment, "--annotator", "ann", typed="y\nn taller by a head\nwhat\nu\n")
    assert result.exit_code == 0, result.output
    said = [(a.pair_id, a.verdict, a.annotator, a.comment) for heard in orchestrator.heard for a in heard.annotations]
    assert said == [
        ("p1", VERDICT_VALID, "ann", ""),
        ("p2", VERDICT_INVALID, "ann", "taller by a head"),
        ("p3", VERDICT_UNSURE, "ann", ""),
    ]
    assert all(pair.sent for pair in reviews.pairs("job-1"))


def test_what_was_answered_is_not_asked_again_unless_wanted(
    deployment: Deployment, reviews: Reviews, orchestrator: ScriptedOrchestrator
) -> None:
    _review(deployment, typed="y\nq\n")
    _review(deployment, typed="s\nn\n")
    assert [pair.verdict for pair in reviews.pairs("job-1")] == [Verdict.VALID, None, Verdict.INVALID]
    _review(deployment, "--again", typed="u\nq\n")
    assert reviews.pairs("job-1")[0].verdict is Verdict.UNSURE


def test_the_list_shows_pairs_and_asks_nothing(deployment: Deployment, reviews: Reviews) -> None:
    result = _review(deployment, "--list")
    assert result.exit_code == 0
    assert "0.900" in result.output
    assert "same person?" not in result.output


def test_a_clip_is_played_by_the_chosen_player(
    deployment: Deployment, reviews: Reviews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "workspace/jobs/job-1/pairs/p1/clip.mp4"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"moving pictures")
    monkeypatch.setenv("THROUGHLINE_PLAYER", f"cp -t {tmp_path}")
    assert _review(deployment, "--play", typed="q\n").exit_code == 0
    assert (tmp_path / "clip.mp4").read_bytes() == b"moving pictures"


def test_a_job_without_pairs_is_said_in_one_line(deployment: Deployment) -> None:
    result = _review(deployment)
    assert result.exit_code == 1
    assert "no pairs of job job-1 are here" in result.stderr
