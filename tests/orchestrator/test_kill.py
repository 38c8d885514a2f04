"""SIGKILL of a real orchestrator process in every stage: the next one ends the job as if nothing had happened."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.orchestrator.processes import Process
from tests.orchestrator.scripted import Script, scouted, track, wait_until
from throughline.v1 import common_pb2 as common
from throughline.v1 import orchestrator_pb2 as pb
from throughline.wire.service import RunningServer

STAGES = [
    "ListFootage",
    "Collate",
    "Track",
    "LocateQuery",
    "RankCandidates",
    "RenderPairs",
    "ReviewPairs",
    "RenderTimeline",
    "TimelineReady",
]
PARALLEL = (common.STAGE_INGEST, common.STAGE_TRACK, common.STAGE_RENDER_PAIRS)


@pytest.fixture
def process(tmp_path: Path, script: Script, running_script: tuple[Script, RunningServer]) -> Iterator[Process]:
    process = Process(tmp_path, running_script[1].address)
    yield process
    process.kill()


def finish(process: Process, script: Script, job_id: str) -> pb.Job:
    process.client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW, pb.JOB_STATE_FAILED)
    process.client.answer_all(script, job_id)
    return process.client.until(job_id)


def check_as_undisturbed(script: Script, job: pb.Job) -> None:
    """What a job without any disturbance gives, each piece of work done once, each message sent with one effect."""
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    assert [candidate.pair_id for candidate in job.candidates] == ["pair0", "pair1", "pair2"]
    assert [candidate.verdict for candidate in job.candidates] == [1, 2, 1]
    films = [film for film in script.films if film.job_id == job.job_id]
    assert {tuple((track.camera, track.track_id) for track in film.tracks) for film in films} == {
        (("cam1", 10), ("cam1", 1), ("cam3", 12))
    }
    assert set(script.done.values()) == {1}
    assert set(script.effects) == {f"{job.job_id}.review-1.0", f"{job.job_id}.timeline-1"}
    assert all(len(contents) == 1 for contents in script.contents.values())


@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_in_a_stage_changes_nothing(process: Process, script: Script, stage: str) -> None:
    script.hold(stage)
    job_id = process.client.submit(request_id="the-request")
    if stage in ("RenderTimeline", "TimelineReady"):
        process.client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
        process.client.answer_all(script, job_id)
    at_work = 3 if stage in ("Collate", "Track") else 2 if stage == "RenderPairs" else 1
    script.await_request(stage, at_work)
    before = {method: script.count(method) for method in STAGES}
    process.kill()
    script.release()
    process.start()
    answered = stage in ("RenderTimeline", "TimelineReady")
    job = process.client.until(job_id) if answered else finish(process, script, job_id)
    check_as_undisturbed(script, job)
    # What a stage finished at the very moment of the kill is found ready, and so counted by nobody.
    assert all(timing.runs <= (3 if timing.stage in PARALLEL else 1) for timing in job.timings)
    earlier = STAGES[: STAGES.index(stage)]
    assert {method: script.count(method) for method in earlier} == {method: before[method] for method in earlier}
    assert process.client.submit(request_id="the-request") == job_id


MOMENTS = [("Track", 3), ("RankCandidates", 1), ("Track", 5), ("RankCandidates", 2)]
"""Of a fast search, with how often the method was called by then: the first pass, scouting, the closer look, ranking."""


def check_as_a_fast_search(script: Script, job: pb.Job) -> None:
    check_as_undisturbed(script, job)
    assert {subject.partition("/")[2] for method, subject in script.done if method == "Track"} == {
        *("cam1", "cam2", "cam3", "cam2-closer", "cam3-closer")
    }
    (ranked,) = {tuple(camera.tracks.key for camera in request.cameras) for request in script.rankings(1)}
    assert ranked == ("tracks-cam1", "tracks-cam2-closer", "tracks-cam3-closer")


def start_fast_search(process: Process, script: Script) -> str:
    """Hold it in its first pass."""
    script.scouted = scouted(track("cam2", 1, 60), track("cam3", 2, 70))
    script.hold("Track", "RankCandidates")
    return process.client.submit(options=pb.JobOptions(search_mode=pb.SEARCH_MODE_FAST))


def go_on(script: Script, method: str) -> None:
    """Let calls of a method through up to the next one of the other."""
    script.hold("Track" if method == "RankCandidates" else "RankCandidates")
    script.release(method)


@pytest.mark.parametrize("moment", range(len(MOMENTS)), ids=["first pass", "scouting", "closer look", "ranking"])
def test_a_kill_in_a_fast_search_changes_nothing(process: Process, script: Script, moment: int) -> None:
    job_id = start_fast_search(process, script)
    for method, times in MOMENTS[:moment]:
        script.await_request(method, times)
        go_on(script, method)
    script.await_request(*MOMENTS[moment])
    process.kill()
    script.release()
    process.start()
    check_as_a_fast_search(script, finish(process, script, job_id))


def test_a_tracker_that_dies_in_every_part_of_a_fast_search_changes_nothing(process: Process, script: Script) -> None:
    job_id = start_fast_search(process, script)
    for method, times in [("Track", 3), ("RankCandidates", 1), ("Track", 6), ("RankCandidates", 3)]:  # one comes again
        script.await_request(method, times)
        script.fail(method, grpc.StatusCode.UNAVAILABLE)
        go_on(script, method)
    check_as_a_fast_search(script, finish(process, script, job_id))


LATER = ["RankCandidates", "RenderPairs", "ReviewPairs", "RenderTimeline", "TimelineReady"]


def check_two_rounds(script: Script, job: pb.Job) -> None:
    """What a job of two rounds without any disturbance gives."""
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    names = [(candidate.round, candidate.pair_id, candidate.verdict) for candidate in job.candidates]
    assert names == [(1, "pair0", 1), (1, "pair1", 2), (1, "pair2", 1), (2, "round2-pair0", 1), (2, "round2-pair1", 2)]
    assert {tuple((track.camera, track.track_id) for track in film.tracks) for film in script.films} == {
        (("cam1", 10), ("cam1", 20), ("cam1", 1), ("cam3", 12))
    }
    assert set(script.done.values()) == {1}
    messages = {f"{job.job_id}.{name}" for name in ("review-1.0", "review-2.0", "timeline-1")}
    assert set(script.effects) == messages
    assert all(len(contents) == 1 for contents in script.contents.values())
    assert len({f.SerializeToString(deterministic=True) for f in script.rankings(2)}) == 1


@pytest.mark.parametrize("stage", LATER)
def test_a_kill_in_the_second_round_changes_nothing(process: Process, script: Script, stage: str) -> None:
    script.later = (2,)
    job_id = process.client.submit(options=pb.JobOptions(max_rounds=3))
    process.client.await_round(job_id, 1)
    before = script.count(stage)
    last = stage in ("RenderTimeline", "TimelineReady")
    if not last:
        script.hold(stage)
    process.client.answer_all(script, job_id)
    if last:
        process.client.await_round(job_id, 2)
        script.hold(stage)
        process.client.answer_all(script, job_id, 2)
    script.await_request(stage, before + 1)
    process.kill()
    script.release()
    process.start()
    if not last:
        process.client.await_round(job_id, 2)
        process.client.answer_all(script, job_id, 2)
    check_two_rounds(script, process.client.until(job_id))


def test_kills_between_rounds_change_nothing(process: Process, script: Script) -> None:
    script.later = (2,)
    job_id = process.client.submit(options=pb.JobOptions(max_rounds=2))
    for number in (1, 2):
        process.client.await_round(job_id, number)
        process.restart()
        process.client.answer_all(script, job_id, number)
        process.restart()
    check_two_rounds(script, process.client.until(job_id))


def test_kills_in_all_stages_of_one_job_change_nothing(process: Process, script: Script) -> None:
    job_id = process.client.submit()
    for stage in STAGES:
        script.hold(stage)
    for stage in STAGES:
        if stage == "RenderTimeline":
            process.client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
            process.restart()
            process.client.answer_all(script, job_id)
        script.await_request(stage)
        process.restart()
        script.release(stage)
    check_as_undisturbed(script, process.client.until(job_id))


def test_kills_at_any_moment_change_nothing(process: Process, script: Script) -> None:
    job_id = process.client.submit()
    for pause in (0.05, 0.15, 0.3, 0.1, 0.25):
        time.sleep(pause)  # the moment is meant to be any
        process.restart()
    check_as_undisturbed(script, finish(process, script, job_id))


def test_a_waiting_job_is_watched_answered_and_cancelled_after_a_restart(process: Process, script: Script) -> None:
    first, second = process.client.submit(), process.client.submit()
    for job_id in (first, second):
        process.client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
    process.restart()
    assert process.client.watch(first, [pb.JOB_STATE_WAITING_FOR_REVIEW])[0].state == pb.JOB_STATE_WAITING_FOR_REVIEW
    process.client.cancel(second)
    process.client.answer_all(script, first)
    assert process.client.until(first).state == pb.JOB_STATE_SUCCEEDED
    assert process.client.job(second).state == pb.JOB_STATE_CANCELLED


def test_a_deadline_that_passes_while_nothing_runs_is_met_after_the_restart(process: Process, script: Script) -> None:
    job_id = process.client.submit(options=pb.JobOptions(review_deadline_seconds=1))
    deadline = process.client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW).review_deadline_ns
    process.kill()
    wait_until(lambda: time.time_ns() > deadline)
    process.start()
    job = process.client.until(job_id)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert job.timeline.partial


def test_a_clean_stop_in_the_middle_of_a_stage_changes_nothing(process: Process, script: Script) -> None:
    script.hold("Track")
    job_id = process.client.submit()
    script.await_request("Track", 3)
    assert process.process.pid is not None
    os.kill(process.process.pid, signal.SIGTERM)
    process.process.join(20)
    assert process.process.exitcode == 0
    script.release()
    process.start()
    check_as_undisturbed(script, finish(process, script, job_id))
