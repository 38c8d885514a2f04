"""Processes die at the worst moment; the job must not notice."""

from __future__ import annotations

import pytest

from tests.whole.deployment import Effects, Outcome, Theatre
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import (
    STAGE_ALERT,
    STAGE_INGEST,
    STAGE_LIST,
    STAGE_LOCATE,
    STAGE_RANK,
    STAGE_RENDER_PAIRS,
    STAGE_RENDER_TIMELINE,
    STAGE_REVIEW,
    STAGE_TRACK,
    Stage,
)

# Every stage for the process that holds the job, and each other process in a stage of its own.
CASES = [
    ("orchestrator", STAGE_LIST),
    ("orchestrator", STAGE_INGEST),
    ("orchestrator", STAGE_TRACK),
    ("orchestrator", STAGE_LOCATE),
    ("orchestrator", STAGE_RANK),
    ("orchestrator", STAGE_RENDER_PAIRS),
    ("orchestrator", STAGE_REVIEW),
    ("orchestrator", STAGE_RENDER_TIMELINE),
    ("orchestrator", STAGE_ALERT),
    ("ingest", STAGE_INGEST),
    ("tracker", STAGE_TRACK),
    ("triton", STAGE_TRACK),
    ("tracker", STAGE_RANK),
    ("renderer", STAGE_RENDER_PAIRS),
    ("tier", STAGE_REVIEW),
    ("renderer", STAGE_RENDER_TIMELINE),
    ("alert", STAGE_ALERT),
]


def test_an_undisturbed_job_finds_the_person_and_does_everything_once(undisturbed: tuple[Outcome, Effects]) -> None:
    outcome, effects = undisturbed
    assert outcome.state == pb.JOB_STATE_SUCCEEDED, outcome.error
    assert outcome.candidates
    assert len(outcome.film) > 1
    assert effects.pairs_at_tier == len(outcome.candidates)
    assert effects.alerts == 1


@pytest.mark.parametrize(("victim", "stage"), CASES, ids=[f"{name}-in-{Stage.Name(stage)}" for name, stage in CASES])
def test_a_killed_process_changes_nothing_in_the_result(
    theatre: Theatre, undisturbed: tuple[Outcome, Effects], victim: str, stage: int
) -> None:
    expected, once = undisturbed
    job_id = theatre.submit(f"{victim}-{stage}")
    theatre.wait(job_id, lambda job: job.stage >= stage)
    theatre.kill(victim)
    job = theatre.finished(job_id)
    theatre.recovered()
    assert job.error == expected.error
    assert theatre.outcome(job) == expected
    effects = theatre.effects(job)
    assert (effects.pairs_at_tier, effects.alerts) == (once.pairs_at_tier, once.alerts)
    # Never more. Fewer where cameras go through the stages side by side: one was done, but the orchestrator died before it heard of it.
    assert all(runs <= once.runs[number] for number, runs in effects.runs.items() if number < stage)
