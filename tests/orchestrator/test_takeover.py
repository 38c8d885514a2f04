"""Two executors on one Postgres, one of them lost for good: the other ends every job, and no piece of work is done twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from tests.orchestrator.processes import Process
from tests.orchestrator.scripted import Script
from tests.orchestrator.test_kill import STAGES
from tests.storage.records.postgres import new_database, postgres_server
from throughline.orchestrator.executors import Executors, require_life
from throughline.orchestrator.vigil import Silence
from throughline.storage import database
from throughline.storage.records import Records
from throughline.v1 import orchestrator_pb2 as pb
from throughline.wire.service import RunningServer

TAKEOVER_SECONDS = 3.0
HELD_AT_ONCE = {"Collate": 3, "Track": 3, "RenderPairs": 2}


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path, postgres: str, running_script: tuple[Script, RunningServer]) -> Iterator[Start]:
    """Starts an executor of a name, on a database of the test's own."""
    database = new_database(postgres)
    processes: list[Process] = []

    def start(name: str, **changes: object) -> Process:
        folder = tmp_path / f"{name}-{len(processes)}"
        folder.mkdir()
        quick = {"heartbeat_seconds": 0.2, "takeover_seconds": TAKEOVER_SECONDS}
        settings = {"database_url": database, "executor_id": name, **quick, **changes}
        processes.append(Process(folder, running_script[1].address, **settings))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def submit_and_hold(executor: Process, script: Script, stage: str) -> str:
    """A job whose executor waits in a stage."""
    script.hold(stage)
    job_id = executor.client.submit()
    if stage in ("RenderTimeline", "TimelineReady"):
        executor.client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
        executor.client.answer_all(script, job_id)
    script.await_request(stage, HELD_AT_ONCE.get(stage, 1), seconds=60)
    return job_id


def end_well(executor: Process, script: Script, *job_ids: str) -> list[pb.Job]:
    """See jobs through to their end; each piece of work was done once, each message had one content."""
    for job_id in job_ids:
        waiting_or_ended = (pb.JOB_STATE_WAITING_FOR_REVIEW, pb.JOB_STATE_SUCCEEDED, pb.JOB_STATE_FAILED)
        if executor.client.until(job_id, *waiting_or_ended).state == pb.JOB_STATE_WAITING_FOR_REVIEW:
            executor.client.answer_all(script, job_id)
    jobs = [executor.client.until(job_id) for job_id in job_ids]
    assert [(job.state, job.error) for job in jobs] == [(pb.JOB_STATE_SUCCEEDED, "")] * len(jobs)
    assert set(script.done.values()) == {1}
    messages = ("review-1.0", "timeline-1")
    assert set(script.contents) == {f"{job_id}.{message}" for job_id in job_ids for message in messages}
    assert all(len(contents) == 1 for contents in script.contents.values())
    return jobs


@pytest.mark.parametrize("stage", STAGES)
def test_a_survivor_ends_the_job_of_an_executor_killed_for_good_in_a_stage(
    start: Start, script: Script, stage: str
) -> None:
    doomed = start("doomed")
    job_id = submit_and_hold(doomed, script, stage)
    before = {method: script.count(method) for method in STAGES}
    survivor = start("survivor")
    doomed.kill()
    killed = time.monotonic()
    script.await_request(stage, before[stage] + 1, seconds=60)
    assert time.monotonic() - killed > TAKEOVER_SECONDS / 2, "it was taken over before it can have been missed"
    script.release()
    end_well(survivor, script, job_id)
    earlier = STAGES[: STAGES.index(stage)]
    assert {method: script.count(method) for method in earlier} == {method: before[method] for method in earlier}


def test_ten_jobs_of_two_executors_end_when_one_is_killed_for_good(start: Start, script: Script) -> None:
    first, second = (start(name, camera_concurrency=4) for name in ("first", "second"))
    script.hold("Track")
    jobs = [executor.client.submit() for executor in (first, second) for _ in range(5)]
    script.await_request("Track", 8, seconds=60)
    first.kill()
    script.release()
    end_well(second, script, *jobs)


@pytest.mark.parametrize("stage", ["Track", "ReviewPairs", "TimelineReady"])
def test_a_frozen_executor_that_wakes_changes_nothing_and_ends(start: Start, script: Script, stage: str) -> None:
    frozen = start("frozen")
    job_id = submit_and_hold(frozen, script, stage)
    survivor = start("survivor")
    frozen.signal(signal.SIGSTOP)
    script.await_request(stage, 2 * HELD_AT_ONCE.get(stage, 1), seconds=60)
    script.release()  # both calls are answered, the one that nobody reads any more too
    (job,) = end_well(survivor, script, job_id)
    frozen.signal(signal.SIGCONT)
    frozen.process.join(60)
    assert frozen.process.exitcode == 0
    assert survivor.client.job(job_id) == job


def test_an_executor_that_is_stopped_hands_its_work_over_without_waiting(start: Start, script: Script) -> None:
    leaving, staying = start("leaving", takeover_seconds=3600.0), start("staying", takeover_seconds=3600.0)
    script.hold("Track")
    jobs = [leaving.client.submit() for _ in range(3)]
    script.await_request("Track", 8, seconds=60)
    leaving.signal(signal.SIGTERM)
    leaving.process.join(60)
    script.release()
    end_well(staying, script, *jobs)


def test_the_second_process_of_one_name_ends_the_first_and_goes_on_with_its_work(start: Start, script: Script) -> None:
    first = start("same", takeover_seconds=3600.0)
    job_id = submit_and_hold(first, script, "Track")
    second = start("same", takeover_seconds=3600.0)
    first.process.join(60)
    assert first.process.exitcode == 0
    script.release()
    end_well(second, script, job_id)


def test_an_executor_alone_goes_on_after_any_freeze(start: Start, script: Script) -> None:
    alone = start("alone", takeover_seconds=0.4)
    job_id = submit_and_hold(alone, script, "Track")
    alone.signal(signal.SIGSTOP)
    time.sleep(1.0)  # several times as long as others, were there any, would wait
    alone.signal(signal.SIGCONT)
    script.release()
    end_well(alone, script, job_id)


def test_a_life_is_silent_only_after_so_many_looks_in_a_row_without_a_sign() -> None:
    silence = Silence(looks=2)
    assert silence.silent({"a": 1, "b": 7}) == {}
    assert silence.silent({"a": 1, "b": 8}) == {}
    assert silence.silent({"a": 1, "b": 8}) == {"a": 1}
    assert silence.silent({"a": 2, "b": 8}) == {"b": 8}
    assert silence.silent({"a": 2}) == {}
    assert silence.silent({"a": 2, "b": 8}) == {"a": 2}, "who was away in between is counted anew"


def test_an_executor_frozen_in_the_middle_of_a_change_does_not_keep_its_life(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "IDLE_SECONDS", 1)
    url = new_database(postgres)
    records = [Records.open(url) for _ in range(2)]
    frozen, other = (Executors(each) for each in records)
    life = frozen.join("frozen")
    with pytest.raises(OperationalError), records[0].guarded(lambda session: require_life(session, life)).write():
        assert other.give_up(life, beat=0), "the database waits for who is frozen no longer than a second"
    assert not frozen.beat(life)
    for each in records:
        each.close()
