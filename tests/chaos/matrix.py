"""One cell of the matrix after the other: a job, a process that is killed or paused in one of its stages, and what came of it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.scene import VICTIMS, Scene, fresh_name
from tests.whole.deployment import Effects, Outcome
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import STAGE_ALERT, STAGE_LIST, STAGE_TRACK, Stage

STAGES = range(STAGE_LIST, STAGE_ALERT + 1)
PAUSE_SECONDS = 4.0
_LATEST_SECONDS = 0.3
"""A blow falls so long after the stage was entered, at most."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What was done and what came of it. `problem` is empty where the job came to the same as when nothing was done."""

    blow: str
    victim: str
    stage: str
    struck_in: str
    """The stage that the job was in when the blow fell; a short stage may have ended before."""
    seconds: float
    problem: str


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A job to which nothing happened,."""

    footage_uri: str
    seconds: float
    outcome: Outcome
    effects: Effects


def undisturbed(scene: Scene, footage_uri: str = "") -> Undisturbed:
    """Run a job in peace."""
    theatre, name, began = scene.theatre, fresh_name("peace"), time.monotonic()
    footage_uri = footage_uri or scene.upload(name)
    job = theatre.finished(theatre.submit(name, footage_uri))
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    return Undisturbed(footage_uri, time.monotonic() - began, theatre.outcome(job), theatre.effects(job))


def cells(scene: Scene, blows: tuple[str, ...], victims: tuple[str, ...], seed: int) -> Iterator[Cell]:
    """Every blow at every victim in every stage. Stages after tracking are struck over footage that is tracked already."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    fresh = undisturbed(scene)
    ready = undisturbed(scene, fresh.footage_uri)
    for blow in blows:
        for victim in (name for name in VICTIMS if name in victims):
            for stage in STAGES:
                expected = fresh if stage <= STAGE_TRACK else ready
                yield _cell(scene, blow, victim, stage, expected, dice.uniform(0, _LATEST_SECONDS))


def _cell(scene: Scene, blow: str, victim: str, stage: int, expected: Undisturbed, delay_seconds: float) -> Cell:
    theatre, began = scene.theatre, time.monotonic()
    name = fresh_name(f"{blow}-{victim}-{stage}")
    footage_uri = scene.upload(name) if stage <= STAGE_TRACK else expected.footage_uri
    job_id, struck = theatre.submit(name, footage_uri), None
    try:
        struck = theatre.wait(job_id, lambda job: job.stage >= stage)
        time.sleep(delay_seconds)
        if blow == "kill":
            scene.kill(victim)
        else:
            scene.pause(victim, PAUSE_SECONDS)
        problem = _problem(scene, theatre.finished(job_id), stage, expected)
        scene.recovered()
    except AssertionError as failure:
        problem = str(failure)
    where = "submitted" if struck is None else stage_name(struck.stage)
    return Cell(blow, victim, stage_name(stage), where, round(time.monotonic() - began, 1), problem)


def _problem(scene: Scene, job: pb.Job, stage: int, expected: Undisturbed) -> str:
    """What differs from the job to which nothing happened."""
    outcome, effects = scene.theatre.outcome(job), scene.theatre.effects(job)
    if outcome != expected.outcome:
        return f"job {job.job_id}: {pb.JobState.Name(job.state)} {job.error}; another outcome than in peace"
    once = expected.effects
    if (effects.pairs_at_tier, effects.alerts) != (once.pairs_at_tier, once.alerts):
        return f"job {job.job_id}: {effects.pairs_at_tier} pairs and {effects.alerts} alerts arrived"
    again = {
        stage_name(number): runs for number, runs in effects.runs.items() if number < stage and runs > once.runs[number]
    }
    return f"job {job.job_id}: finished stages ran again: {again}" if again else ""


def stage_name(stage: int) -> str:
    """In lower case and without its prefix."""
    return Stage.Name(Stage.ValueType(stage)).removeprefix("STAGE_").lower()
