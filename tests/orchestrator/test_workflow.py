"""A job's way through the stages, between scripted services."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.orchestrator.bench import Client
from tests.orchestrator.scripted import SECOND, Script, scouted, track, wait_until
from throughline.domain.errors import (
    CorruptArtifact,
    DeadlineExceeded,
    DependencyUnavailable,
    FailedPrecondition,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    QueryNotLocated,
)
from throughline.domain.time import Instant
from throughline.v1 import common_pb2 as common
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1 import tracker_pb2
from throughline.v1.common_pb2 import VERDICT_INVALID, VERDICT_UNSURE, VERDICT_VALID


def run_to_review(client: Client, script: Script, **options: object) -> pb.Job:
    job_id = client.submit(options=pb.JobOptions(**options))  # type: ignore[arg-type]
    return client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW, pb.JOB_STATE_FAILED)


def told(job: pb.Job) -> list[common.Incident]:
    """Incidents, but for that of films which only a script has made, and which nobody can trace back."""
    return [incident for incident in job.incidents if incident.code != "evidence_missing"]


def test_a_job_goes_through_all_stages_and_ends_with_a_film(client: Client, script: Script, home: Path) -> None:
    job_id = client.submit(options=pb.JobOptions(labels={"case": "17"}))
    waiting = client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
    assert waiting.stage == common.STAGE_REVIEW
    assert waiting.review_deadline_ns > waiting.created_ns

    review = script.reviews[0]
    assert [pair.pair_id for pair in review.pairs] == ["pair0", "pair1", "pair2"]
    assert review.request_id == f"{job_id}.review-1.0"
    client.answer(review, {"pair2": VERDICT_VALID, "pair0": VERDICT_UNSURE, "pair1": VERDICT_INVALID})
    job = client.until(job_id)

    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert job.error == ""
    assert [candidate.verdict for candidate in job.candidates] == [VERDICT_UNSURE, VERDICT_INVALID, VERDICT_VALID]
    assert [candidate.rank for candidate in job.candidates] == [1, 2, 3]
    assert all(candidate.clip_uri for candidate in job.candidates)
    assert job.query_iou == 0.8
    assert not job.timeline.partial
    assert not job.timeline.query_only
    assert job.timeline.revision == 1
    film = script.films[0]
    assert [(track.camera, track.track_id) for track in film.tracks] == [("cam1", 1), ("cam3", 12)]
    assert {timing.stage: timing.runs for timing in job.timings} == {
        common.STAGE_LIST: 1,
        common.STAGE_INGEST: 3,
        common.STAGE_TRACK: 3,
        common.STAGE_LOCATE: 1,
        common.STAGE_RANK: 1,
        common.STAGE_RENDER_PAIRS: 3,
        common.STAGE_REVIEW: 1,
        common.STAGE_RENDER_TIMELINE: 1,
        common.STAGE_ALERT: 1,
    }
    assert set(script.effects.values()) == {1}
    alert = script.alerts[0]
    assert alert.timeline.film_uri == job.timeline.film_uri
    assert [appearance.camera for appearance in alert.appearances] == ["cam1", "cam3"]
    assert alert.query_label == "red coat"
    assert alert.labels == {"case": "17"}
    folder = home / "workspace" / "jobs" / job_id
    assert json.loads((folder / "request.json").read_text())["footage_uri"] == "s3://footage/store/"
    round_ = json.loads((folder / "rounds" / "1.json").read_text())
    assert [answer["verdict"] for answer in round_["answers"]] == ["valid", "unsure", "invalid"]
    assert (
        review.callback_token not in (folder / "request.json").read_text() + (folder / "rounds" / "1.json").read_text()
    )


def test_options_reach_the_stages(client: Client, script: Script) -> None:
    second = 10**9
    start = Instant.parse("2026-03-01T09:50:00Z").ns
    window = common.Interval(start_ns=start, end_ns=start + 1_000 * second)
    job = run_to_review(
        client,
        script,
        time_window=window,
        cameras=["cam1", "cam2", "cam9"],
        clock_maps=[
            common.ClockMap(camera="cam2", offset_ns=5 * second, uncertainty_ns=second),
            common.ClockMap(camera="can1", offset_ns=7 * second),
        ],
        analysis_rate=4.0,
        file_name_time_zone="Europe/Paris",
        similarity_threshold=0.7,
        threshold_scale=common.SIMILARITY_SCALE_COSINE,
        max_candidates=7,
        review_deadline_seconds=60,
    )
    assert job.state == pb.JOB_STATE_WAITING_FOR_REVIEW
    sent = {(type(message).__name__, getattr(message, "camera", "")): message for message in script.messages}
    assert list(sent["ListFootageRequest", ""].cameras) == ["cam1", "cam2", "cam9"]  # type: ignore[attr-defined]
    assert sent["CollateRequest", "cam1"].camera_window == window  # type: ignore[attr-defined]
    shifted = common.Interval(start_ns=start - 8 * second, end_ns=start + 998 * second)  # and three standard deviations
    for kind in ("CollateRequest", "TrackRequest"):
        assert sent[kind, "cam2"].camera_window == shifted  # type: ignore[attr-defined]
    assert sent["CollateRequest", "cam1"].file_name_time_zone == "Europe/Paris"  # type: ignore[attr-defined]
    assert sent["TrackRequest", "cam1"].analysis_rate == 4.0  # type: ignore[attr-defined]
    rank = sent["RankCandidatesRequest", ""]
    assert (rank.similarity_threshold, rank.max_candidates) == (0.7, 7)  # type: ignore[attr-defined]
    assert rank.threshold_scale == common.SIMILARITY_SCALE_COSINE  # type: ignore[attr-defined]
    assert [camera.clock_map.offset_ns for camera in rank.cameras] == [0, 5 * second]  # type: ignore[attr-defined]
    assert [(incident.code, incident.subject) for incident in job.incidents] == [("clock_map_unused", "can1")]
    assert 59 * second < job.review_deadline_ns - job.created_ns < 90 * second


def test_a_job_without_candidates_ends_with_a_film_of_the_query_alone(client: Client, script: Script) -> None:
    script.candidates = 0
    job = client.until(client.submit())
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert job.timeline.query_only
    assert not job.timeline.partial
    assert [incident.code for incident in told(job)] == ["no_candidates"]
    assert not job.timeline.evidence_uri
    assert script.reviews == []
    assert [track.camera for track in script.films[0].tracks] == ["cam1"]


def test_a_pair_that_cannot_be_rendered_is_named_and_not_sent(client: Client, script: Script) -> None:
    script.unrenderable = {"pair1"}
    job = run_to_review(client, script)
    assert [pair.pair_id for pair in script.reviews[0].pairs] == ["pair0", "pair2"]
    assert [(incident.code, incident.subject) for incident in job.incidents] == [("pair_failed", "pair1")]
    response = client.answer(script.reviews[0], {"pair0": VERDICT_INVALID, "pair2": VERDICT_INVALID})
    assert response.outstanding == 0
    assert client.until(job.job_id).timeline.query_only


def test_a_job_whose_pairs_can_all_not_be_rendered_says_so_and_ends(client: Client, script: Script) -> None:
    script.unrenderable = {"pair0", "pair1", "pair2"}
    job = client.until(client.submit())
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert {incident.code for incident in told(job)} == {"pair_failed", "no_clips"}


def test_one_bad_camera_does_not_sink_the_job(client: Client, script: Script) -> None:
    script.fail("Collate/cam2", CorruptArtifact("the manifest of cam2 is wrong"))
    script.fail("Track/cam3", FailedPrecondition("the reel of cam3 has no frames"))
    job = run_to_review(client, script)
    assert job.state == pb.JOB_STATE_WAITING_FOR_REVIEW
    assert {(incident.code, incident.camera) for incident in told(job)} == {
        ("camera_failed", "cam2"),
        ("camera_failed", "cam3"),
    }
    rank = next(message for message in script.messages if type(message).__name__ == "RankCandidatesRequest")
    assert [camera.camera for camera in rank.cameras] == ["cam1"]  # type: ignore[attr-defined]


def test_a_camera_without_usable_footage_is_left_out(client: Client, script: Script) -> None:
    script.empty_cameras = {"cam2"}
    job = run_to_review(client, script)
    assert [(incident.code, incident.camera) for incident in told(job)] == [("camera_without_footage", "cam2")]
    assert script.count("Track") == 2


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (
            lambda script: script.fail("Track/cam1", CorruptArtifact("no manifest")),
            "camera cam1, which the query is in",
        ),
        (lambda script: script.empty_cameras.add("cam1"), "no usable footage"),
        (
            lambda script: setattr(script, "cameras", ("cam2", "cam3")),
            "'cam1' has no footage below s3://footage/store/",
        ),
        (lambda script: script.fail("LocateQuery", QueryNotLocated("best IoU 0.11")), "best IoU 0.11"),
        (lambda script: script.fail("ListFootage", NotFound("there is no bucket footage")), "no bucket footage"),
        (lambda script: script.fail("RankCandidates", CorruptArtifact("scores differ")), "scores differ"),
        (lambda script: script.fail("ReviewPairs", PermissionDenied("not for you")), "not for you"),
    ],
    ids=[
        "bad camera",
        "empty camera",
        "unknown camera",
        "not located",
        "no bucket",
        "corrupt",
        "tier refuses",
    ],
)
def test_what_the_job_needs_fails_it_with_its_reason(
    client: Client, script: Script, break_it: Callable[[Script], None], words: str
) -> None:
    break_it(script)
    job = client.until(client.submit())
    assert job.state == pb.JOB_STATE_FAILED
    assert words in job.error
    assert job.ended_ns > job.created_ns


def test_a_query_outside_of_the_footage_fails_before_its_camera_is_tracked(client: Client, script: Script) -> None:
    script.spans["cam1"] = common.Interval(start_ns=0, end_ns=10**18)
    job = client.until(client.submit())
    assert job.state == pb.JOB_STATE_FAILED
    assert "query observations[0].time: expected a time within the footage of camera cam1, 1970-01-01" in job.error
    assert ("Track", "cam1") not in script.requests


def test_a_film_that_cannot_be_announced_is_kept_and_the_job_says_why(client: Client, script: Script) -> None:
    script.candidates = 0
    script.fail("TimelineReady", PermissionDenied("films are not welcome"))
    job = client.until(client.submit())
    assert job.state == pb.JOB_STATE_FAILED
    assert "films are not welcome" in job.error
    assert job.timeline.film_uri


@pytest.mark.parametrize(
    "method",
    ["ListFootage", "Collate", "Track", "LocateQuery", "RankCandidates", "RenderPairs", "RenderTimeline"],
)
def test_a_stage_that_is_down_for_a_while_is_asked_again(client: Client, script: Script, method: str) -> None:
    script.fail(method, DependencyUnavailable("restarting"), DeadlineExceeded("overloaded"))
    job_id = client.submit()
    client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
    client.answer_all(script, job_id)
    job = client.until(job_id)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert max(script.done.values()) == 1
    assert told(job) == []


@pytest.mark.parametrize("method", ["ReviewPairs", "TimelineReady"])
def test_who_is_outside_and_down_is_asked_again_under_the_same_request_id(
    client: Client, script: Script, method: str
) -> None:
    script.fail(method, *[DependencyUnavailable("down for longer than a stage may be")] * 12)
    job_id = client.submit()
    client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
    client.answer_all(script, job_id)
    assert client.until(job_id).state == pb.JOB_STATE_SUCCEEDED
    assert script.count(method) == 13
    assert set(script.effects.values()) == {1}


def test_patience_with_a_stage_ends(client: Client, script: Script) -> None:
    script.fail("RankCandidates", *[DependencyUnavailable("out of memory")] * 1000)
    job = client.until(client.submit())
    assert job.state == pb.JOB_STATE_FAILED
    assert "out of memory" in job.error


def test_a_call_that_falls_silent_is_made_again(client: Client, script: Script) -> None:
    script.hold("Track")
    job_id = client.submit()
    script.await_request("Track", 3)
    with script.changed:
        assert script.changed.wait_for(lambda: script.stopped.count("Track") >= 3, 20)
    script.release("Track")
    assert client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW).state == pb.JOB_STATE_WAITING_FOR_REVIEW


def test_watching_shows_the_state_first_and_then_progress(client: Client, script: Script) -> None:
    script.hold("Track")
    job_id = client.submit()
    script.await_request("Track", 3)
    wait_until(lambda: sum(step.stage == common.STAGE_TRACK for step in client.job(job_id).progress) == 3)
    first = next(iter(client.stub.WatchJob(pb.WatchJobRequest(job_id=job_id), timeout=10))).job
    assert first.state == pb.JOB_STATE_RUNNING
    assert first.stage == common.STAGE_TRACK
    progress = {(step.stage, step.camera): step for step in first.progress}
    assert progress[common.STAGE_INGEST, "cam1"].done == 4
    assert progress[common.STAGE_INGEST, "cam1"].seconds_left == 0
    assert (progress[common.STAGE_TRACK, "cam2"].done, progress[common.STAGE_TRACK, "cam2"].total) == (10, 100)
    assert progress[common.STAGE_TRACK, "cam2"].unit == "frames"
    script.release("Track")
    seen = client.watch(job_id, [pb.JOB_STATE_WAITING_FOR_REVIEW])
    assert [job.candidates for job in seen] == [[]] * len(seen)
    assert seen[0].stage <= seen[-1].stage == common.STAGE_REVIEW


def test_watching_an_ended_job_shows_it_once_and_whole(client: Client, script: Script) -> None:
    script.candidates = 0
    job_id = client.submit()
    client.until(job_id)
    assert [job.state for job in client.watch(job_id)] == [pb.JOB_STATE_SUCCEEDED]
    with pytest.raises(NotFound):
        client.watch("nobody")


def test_watchers_leave_room_for_other_calls(client: Client, script: Script) -> None:
    script.hold("Track")
    job_id = client.submit()
    streams = [client.stub.WatchJob(pb.WatchJobRequest(job_id=job_id), timeout=20) for _ in range(8)]
    for stream in streams:
        next(iter(stream))
    with pytest.raises(LimitExceeded):
        client.watch(job_id)
    assert client.job(job_id).job_id == job_id
    for stream in streams:
        stream.cancel()
    wait_until(lambda: _can_watch(client, job_id))


def _can_watch(client: Client, job_id: str) -> bool:
    try:
        return bool(client.watch(job_id, [pb.JOB_STATE_RUNNING]))
    except LimitExceeded:
        return False


def test_the_deployments_own_token_is_shown_to_nobody_else(client: Client, script: Script, services: str) -> None:
    elsewhere = services.replace("127.0.0.1", "localhost")
    jobs = [
        client.submit(options=pb.JobOptions(tier_target=target, alert_target=target))
        for target in ("", services, elsewhere)
    ]
    for job_id in jobs:
        client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
        client.answer_all(script, job_id)
        client.until(job_id)
    assert script.tokens["RankCandidates"] == ["own-token"] * 3
    assert sorted(script.tokens["TimelineReady"]) == ["for-others", "own-token", "own-token"]
    reviewed = [subject for method, subject in script.requests if method == "ReviewPairs"]
    first = [token for token, reminder in zip(script.tokens["ReviewPairs"], reviewed, strict=True) if reminder == "0"]
    assert sorted(first) == ["for-others", "own-token", "own-token"]


def track_requests(script: Script) -> dict[tuple[str, bool], tracker_pb2.TrackRequest]:
    """By camera, and whether it was the closer look."""
    asked = [each for each in script.messages if isinstance(each, tracker_pb2.TrackRequest)]
    return {(each.camera, bool(each.spans)): each for each in asked}


def test_a_fast_search_looks_closer_only_where_its_first_pass_saw_somebody_alike(
    client: Client, script: Script
) -> None:
    script.scouted = scouted(track("cam2", 1, 60), track("cam1", 2, 70), track("cam2", 2, 63), track("cam2", 3, 500))
    ahead = common.ClockMap(camera="cam2", offset_ns=SECOND)
    job = run_to_review(client, script, search_mode=pb.SEARCH_MODE_FAST, analysis_rate=8, clock_maps=[ahead])
    assert job.state == pb.JOB_STATE_WAITING_FOR_REVIEW

    asked = track_requests(script)
    rates = {name: request.analysis_rate for name, request in asked.items()}
    assert rates == {("cam1", False): 8, ("cam2", False): 2, ("cam3", False): 2, ("cam2", True): 8}
    spans = [(span.start_ns // SECOND, span.end_ns // SECOND) for span in asked["cam2", True].spans]
    assert spans == [(60 - 4 - 1, 68 + 4 - 1), (500 - 4 - 1, 505 + 4 - 1)], (
        "in the camera's time, those that meet joined"
    )
    (scouts,) = [each for each in script.rankings(0) if each.scouts]
    assert 0.2 < scouts.similarity_threshold < 0.3
    (ranked,) = script.rankings(1)
    assert [each.tracks.key for each in ranked.cameras] == ["tracks-cam1", "tracks-cam2-closer", "tracks-cam3"]


def test_a_full_search_sends_no_scouts(client: Client, script: Script) -> None:
    run_to_review(client, script)
    assert not script.rankings(0)
    assert not any(closer for _, closer in track_requests(script))


def test_a_fast_search_that_sees_nobody_ranks_what_it_saw(client: Client, script: Script) -> None:
    job = run_to_review(client, script, search_mode=pb.SEARCH_MODE_FAST)
    assert job.state == pb.JOB_STATE_WAITING_FOR_REVIEW
    assert script.count("Track") == 3


def test_a_camera_whose_closer_look_fails_is_ranked_by_the_first_pass(client: Client, script: Script) -> None:
    script.scouted = scouted(track("cam2", 1, 60))
    script.hold("RankCandidates")
    job_id = client.submit(options=pb.JobOptions(search_mode=pb.SEARCH_MODE_FAST))
    script.await_request("RankCandidates")
    script.fail("Track", FailedPrecondition("the reel is gone"))
    script.release()
    job = client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW, pb.JOB_STATE_FAILED)
    assert job.state == pb.JOB_STATE_WAITING_FOR_REVIEW
    (incident,) = [each for each in told(job) if each.code == "camera_failed"]
    assert "the reel is gone; the job goes on with what 2 frames a second showed of camera cam2" in incident.message
    (ranked,) = script.rankings(1)
    assert [each.tracks.key for each in ranked.cameras] == ["tracks-cam1", "tracks-cam2", "tracks-cam3"]
