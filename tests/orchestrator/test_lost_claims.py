"""The database commits that a workflow is this executor's, and the answer is lost: nobody would run it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dbos._sys_db import SystemDatabase
from sqlalchemy.exc import OperationalError

from tests.orchestrator.bench import Client, settings_for
from tests.orchestrator.scripted import Script
from throughline.orchestrator.__main__ import build
from throughline.v1 import orchestrator_pb2 as pb
from throughline.wire.service import RunningServer, serve

LOST = 3
"""The job's own workflow, and some cameras'."""


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first claims are committed, and their answers lost; these are the workflows."""
    lost: list[str] = []
    claim = SystemDatabase.start_queued_workflows

    def claim_and_lose(database: SystemDatabase, *args: Any, **options: Any) -> tuple[list[str], Any]:
        claimed, reason = claim(database, *args, **options)
        if claimed and len(lost) < LOST:
            lost.extend(claimed)
            raise OperationalError("COMMIT", {}, ConnectionError("server closed the connection unexpectedly"))
        return claimed, reason

    monkeypatch.setattr(SystemDatabase, "start_queued_workflows", claim_and_lose)
    return lost


@pytest.fixture
def quick(tmp_path: Path, running_script: tuple[Script, RunningServer]) -> Iterator[Client]:
    settings = settings_for(tmp_path, running_script[1].address, heartbeat_seconds=0.2, takeover_seconds=2.0)
    server = serve([build(settings)], settings)
    client = Client(server.address)
    yield client
    client.close()
    server.stop()


def test_workflows_whose_claims_were_lost_are_run_by_their_own_executor(
    quick: Client, script: Script, lost: list[str]
) -> None:
    job_id = quick.submit()
    quick.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
    quick.answer_all(script, job_id)
    job = quick.until(job_id)
    assert (job.state, job.error) == (pb.JOB_STATE_SUCCEEDED, "")
    assert len(lost) >= LOST
    assert set(script.done.values()) == {1}, "no piece of work is done twice"
