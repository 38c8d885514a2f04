"""Several executors on one Postgres: they share the work, and what one knows the others know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.orchestrator.processes import Process
from tests.orchestrator.scripted import Script
from tests.storage.records.postgres import postgres_server
from throughline.orchestrator.metrics import JobCounts
from throughline.storage.records import Records
from throughline.v1 import orchestrator_pb2 as pb
from throughline.wire.service import RunningServer


@pytest.fixture
def executors(tmp_path: Path, running_script: tuple[Script, RunningServer]) -> Iterator[tuple[Process, Process]]:
    with postgres_server() as url:
        processes: list[Process] = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            changes = {"database_url": url, "executor_id": name, "camera_concurrency": 2}
            processes.append(Process(tmp_path / name, running_script[1].address, **changes))
        yield processes[0], processes[1]
        for process in processes:
            process.kill()


def test_two_executors_share_jobs_and_outlive_each_other(executors: tuple[Process, Process], script: Script) -> None:
    first, second = executors
    script.hold("Track")
    jobs = [first.client.submit(), first.client.submit()]
    script.await_request("Track", 4)  # two cameras at each

    cancelled, kept = jobs
    assert second.client.cancel(cancelled).state == pb.JOB_STATE_CANCELLED  # wherever it runs
    with script.changed:
        assert script.changed.wait_for(lambda: bool(script.stopped), 60)
    counted = _counted(first)
    assert (counted["throughline_jobs", "cancelled"], counted["throughline_jobs", "running"]) == (1, 1)
    assert counted["throughline_queue_length", "cameras", "running"] >= 2
    first.kill()
    script.release()
    first.start()
    assert second.client.until(kept, pb.JOB_STATE_WAITING_FOR_REVIEW)
    second.client.answer_all(script, kept)
    assert first.client.until(kept).state == pb.JOB_STATE_SUCCEEDED
    assert first.client.job(cancelled).state == pb.JOB_STATE_CANCELLED
    assert set(script.effects) == {f"{kept}.review-1.0", f"{kept}.timeline-1"}
    assert all(len(contents) == 1 for contents in script.contents.values())
    assert all(count == 1 for (_, subject), count in script.done.items() if kept in subject)


def _counted(process: Process) -> dict[tuple[str, ...], float]:
    """What an executor's metrics say of the database."""
    records = Records.open(process.changes["database_url"])
    samples = [sample for family in JobCounts(records).collect() for sample in family.samples]
    records.close()
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}
