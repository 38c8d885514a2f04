"""What the orchestrator counts, and that it agrees with what callers are shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from tests.orchestrator.bench import Client, request
from tests.orchestrator.scripted import Script
from tests.orchestrator.test_progress import Clock
from throughline.domain.errors import DependencyUnavailable
from throughline.orchestrator.jobs import Jobs, Submission
from throughline.orchestrator.metrics import JobCounts
from throughline.orchestrator.progress import Meter, Subject
from throughline.orchestrator.waits import StepId, Wait, Waits
from throughline.storage.records import Records
from throughline.v1.orchestrator_pb2 import JOB_STATE_WAITING_FOR_REVIEW


def counted(records: Records) -> dict[tuple[str, ...], float]:
    """By name and values of labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in JobCounts(records).collect()
        for sample in family.samples
    }


def told(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_progress_is_counted_as_a_jobs_own_rate_is(tmp_path: Path) -> None:
    records = Records.open(f"sqlite:///{tmp_path}/records.db")
    job_id, _ = Jobs(records).create(Submission(request(), "", "{}", "cam1", ""))
    clock, labels = Clock(), {"stage": "track", "unit": "frames"}
    meter = Meter(records, Subject(job_id, "track", "cam1"), clock)
    meter.update(500, 1000, "frames")  # found ready
    before = told("throughline_stage_units_total", **labels)
    for done in (520, 540, 560):
        clock.seconds += 2.0
        meter.update(done, 1000, "frames")
    assert (told("throughline_stage_units_total", **labels) - before) / 6.0 == pytest.approx(meter.rate) == 10.0
    meter.update(10, 1000, "frames")  # the stage died and began anew: nothing is taken back
    assert told("throughline_stage_units_total", **labels) - before == 60
    records.close()


def test_jobs_are_counted_by_state_and_waits_by_step(tmp_path: Path) -> None:
    records = Records.open(f"sqlite:///{tmp_path}/records.db")
    with records.write() as session:  # what DBOS keeps in the same database
        session.execute(text("CREATE TABLE workflow_status (queue_name TEXT, status TEXT, created_at BIGINT)"))
        session.execute(text("INSERT INTO workflow_status VALUES ('throughline-cameras', 'ENQUEUED', 1000)"))
        session.execute(text("INSERT INTO workflow_status VALUES ('throughline-cameras', 'SUCCESS', 1)"))
    jobs = Jobs(records)
    job_id, _ = jobs.create(Submission(request(), "", "{}", "cam1", ""))
    Waits(records).put(StepId(job_id, "send pairs", "review"), Wait("no answer", 1, 3, 2, 4.0, {}))
    found = counted(records)
    assert (found["throughline_jobs", "queued"], found["throughline_jobs", "failed"]) == (1, 0)
    assert 0 <= found["throughline_job_oldest_seconds", "queued"] < 60
    assert (
        found["throughline_queue_length", "cameras", "waiting"],
        found["throughline_queue_length", "jobs", "waiting"],
    ) == (1, 0)
    assert found["throughline_queue_oldest_seconds", "cameras", "waiting"] > 1e9
    assert found["throughline_waits", "send pairs"] == 1
    assert found["throughline_wait_oldest_seconds", "send pairs"] > 1e9
    jobs.end(job_id, "failed", "no footage")
    assert counted(records)["throughline_jobs", "failed"] == 1
    records.close()


def test_a_database_that_does_not_answer_is_told_and_spoils_no_other_metric(tmp_path: Path) -> None:
    records = Records.open(f"sqlite:///{tmp_path}/records.db")
    with records.write() as session:
        session.execute(text("DROP TABLE job_waits"))
    assert counted(records) == {("throughline_database_up",): 0}
    records.close()


def test_attempts_at_the_tier_are_counted_whether_they_fail_or_not(client: Client, script: Script) -> None:
    def attempts(outcome: str) -> float:
        return told("throughline_step_seconds_count", stage="review", step="send pairs", outcome=outcome)

    before = attempts("ok"), attempts("DependencyUnavailable")
    script.fail("ReviewPairs", DependencyUnavailable("not now"), DependencyUnavailable("not yet"))
    client.until(client.submit(), JOB_STATE_WAITING_FOR_REVIEW)
    assert attempts("DependencyUnavailable") == before[1] + 2
    assert attempts("ok") >= before[0] + 1
