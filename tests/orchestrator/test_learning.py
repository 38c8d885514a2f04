"""Transits are learned from what people confirmed in a site's earlier jobs, and each job keeps to what it began with."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.orchestrator.bench import request
from throughline.domain.transits import LEAST_PAIRS
from throughline.orchestrator.answers import Answers
from throughline.orchestrator.jobs import Jobs, Submission
from throughline.orchestrator.learning import Learning, clock_incident
from throughline.orchestrator.ranking import FIRST_ROUND, Ranking
from throughline.orchestrator.rounds import RoundId, Rounds
from throughline.orchestrator.view import View
from throughline.storage.records import Records
from throughline.v1 import common_pb2 as common
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.tracker_pb2 import Candidate

SECOND = 10**9
QUERY = common.ArtifactRef(uri="file:///workspace/jobs/job/query/", key="query")


def track(camera: str, number: int, start: int) -> common.TrackRef:
    span = common.Interval(start_ns=start * SECOND, end_ns=(start + 5) * SECOND)
    return common.TrackRef(camera=camera, track_id=number, span=span, tracks_key=f"key-{camera}")


class Deployment:
    """Records with jobs that people answered."""

    def __init__(self, records: Records) -> None:
        self.records, self.jobs, self.ranking = records, Jobs(records), Ranking(records)

    def job(self, site: str = "store", **options: Any) -> str:
        message = request(options=pb.JobOptions(site=site, **options))
        return self.jobs.create(Submission(message, "digest", "{}", "cam1", ""))[0]

    def answered(self, number: int, verdict: common.Verdict.ValueType, site: str = "store", second: int = 115) -> str:
        """A job whose person left cam1 at 105 s and came to cam2 at `second`, if `verdict` says so."""
        job_id = self.job(site)
        self.ranking.save_query(job_id, [track("cam1", number, 100)], 1.0)
        pair = Candidate(pair_id=f"{number}-{site}", track=track("cam2", number, second), similarity=0.9)
        self.ranking.save_candidates(job_id, FIRST_ROUND, [pair])
        self.ranking.save_clip(job_id, FIRST_ROUND, pair.pair_id, "file:///clip.mp4")
        Rounds(self.records, 0.0).open(RoundId(job_id, FIRST_ROUND), 3600)
        message = pb.AnnotationResultRequest(
            request_id=uuid.uuid4().hex,
            job_id=job_id,
            callback_token=self.jobs.assignment(job_id).callback_token,
            annotations=[pb.Annotation(pair_id=pair.pair_id, verdict=verdict)],
        )
        Answers(self.records).take(message)
        return job_id


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(Records.open(f"sqlite:///{tmp_path}/records.db"))


def test_confirmed_pairs_of_the_same_site_teach_and_others_do_not(deployment: Deployment) -> None:
    for number in range(1, LEAST_PAIRS + 1):
        deployment.answered(number, common.VERDICT_VALID)
        deployment.answered(number, common.VERDICT_INVALID, "wrong")
        deployment.answered(number, common.VERDICT_VALID, f"lonely-{number}")
    learning = Learning(deployment.records, enabled=True)
    (found,) = learning.pin(deployment.job(), QUERY).learned
    assert (found.from_camera, found.to_camera, found.pairs) == ("cam1", "cam2", LEAST_PAIRS)
    assert found.median_ns == pytest.approx(10 * SECOND)
    for site in ("wrong", "lonely-1", "new", ""):
        assert learning.pin(deployment.job(site), QUERY).learned == ()


def test_jobs_that_name_no_site_learn_from_jobs_over_the_same_footage(deployment: Deployment) -> None:
    for number in range(1, LEAST_PAIRS + 1):
        deployment.answered(number, common.VERDICT_VALID, "")
    learning = Learning(deployment.records, enabled=True)
    assert len(learning.pin(deployment.job(""), QUERY).learned) == 1
    elsewhere = request(footage_uri="s3://footage/another/")
    other = deployment.jobs.create(Submission(elsewhere, "digest", "{}", "cam1", ""))[0]
    assert learning.pin(other, QUERY).learned == ()


def test_a_job_keeps_to_what_it_began_with(deployment: Deployment) -> None:
    learning, job_id = Learning(deployment.records, enabled=True), deployment.job()
    assert learning.pin(job_id, QUERY).learned == ()
    for number in range(1, LEAST_PAIRS + 1):
        deployment.answered(number, common.VERDICT_VALID)
    assert learning.pin(job_id, QUERY).learned == ()
    assert learning.pinned(job_id).query == QUERY
    assert len(learning.pin(deployment.job(), QUERY).learned) == 1


def walked_both_ways(deployment: Deployment, ahead: int) -> None:
    """People who take 10 s from cam1 to cam2 and back, with the clock of cam2 ahead by so many seconds."""
    for number in range(1, LEAST_PAIRS + 1):
        deployment.answered(2 * number, common.VERDICT_VALID, second=115 + ahead)
        deployment.answered(2 * number + 1, common.VERDICT_VALID, second=85 + ahead)


def test_clocks_that_are_off_are_told_of_and_corrected_where_that_is_asked_for(deployment: Deployment) -> None:
    walked_both_ways(deployment, ahead=6)
    learning = Learning(deployment.records, enabled=False)
    found = {each.camera: each for each in learning.clocks(deployment.job())}
    assert found["cam2"].offset_ns - found["cam1"].offset_ns == 6 * SECOND, "one of two, and nobody knows which"
    told = clock_incident(found["cam2"])
    assert told.message.startswith(
        "the clock of camera cam2 is 3.00 s (±0.25 s) ahead of those of most others, by 16 conf"
    )
    assert "offset_ns -3000000000, uncertainty_ns" in told.message
    plain = request(options=pb.JobOptions(site="store"))
    assert learning.corrected(plain) == (plain, ())
    asked = request(options=pb.JobOptions(site="store", apply_measured_clocks=True))
    corrected, incidents = learning.corrected(asked)
    assert {clock.camera: clock.offset_ns for clock in corrected.options.clock_maps} == {
        "cam1": 3 * SECOND,
        "cam2": -3 * SECOND,
    }
    assert [each.code for each in incidents] == ["clock_offset_applied"] * 2


def test_clock_maps_that_a_job_brings_are_allowed_for(deployment: Deployment) -> None:
    walked_both_ways(deployment, ahead=6)
    learning = Learning(deployment.records, enabled=False)
    right = [common.ClockMap(camera="cam2", offset_ns=-6 * SECOND)]
    assert learning.clocks(deployment.job(clock_maps=right)) == []
    asked = request(options=pb.JobOptions(site="store", apply_measured_clocks=True, clock_maps=right))
    assert list(learning.corrected(asked)[0].options.clock_maps) == right


def test_measured_clocks_are_held_to_those_that_the_job_gives(deployment: Deployment) -> None:
    walked_both_ways(deployment, ahead=6)
    learning = Learning(deployment.records, enabled=False)
    right = common.ClockMap(camera="cam1", uncertainty_ns=1)
    asked = request(options=pb.JobOptions(site="store", apply_measured_clocks=True, clock_maps=[right]))
    corrected, (incident,) = learning.corrected(asked)
    assert {clock.camera: clock.offset_ns for clock in corrected.options.clock_maps} == {"cam1": 0, "cam2": -6 * SECOND}
    assert "6.00 s (±0.50 s) ahead of those that the job gives" in incident.message


def test_cameras_that_take_no_part_get_no_clock(deployment: Deployment) -> None:
    walked_both_ways(deployment, ahead=6)
    learning = Learning(deployment.records, enabled=False)
    options = pb.JobOptions(site="store", apply_measured_clocks=True, cameras=["cam1", "cam3"])
    corrected, incidents = learning.corrected(request(options=options))
    assert [clock.camera for clock in corrected.options.clock_maps] == ["cam1"]
    assert [each.camera for each in incidents] == ["cam1"]


def test_measured_clocks_of_cameras_without_footage_are_taken_back(deployment: Deployment) -> None:
    walked_both_ways(deployment, ahead=6)
    learning = Learning(deployment.records, enabled=False)
    idle = common.ClockMap(camera="cam9", offset_ns=SECOND)
    asked = request(options=pb.JobOptions(site="store", apply_measured_clocks=True, clock_maps=[idle]))
    corrected, incidents = learning.corrected(asked)
    job_id, _ = deployment.jobs.create(Submission(corrected, "digest", "{}", "cam1", "", incidents=incidents))
    assert learning.drop_idle(job_id, ["cam1", "cam3"])
    assert not learning.drop_idle(job_id, ["cam1", "cam3"])
    options = deployment.jobs.assignment(job_id).request.options
    assert [clock.camera for clock in options.clock_maps] == ["cam9", "cam1"], "what the caller gave stays"
    job = View(deployment.records).job(job_id)
    assert [(each.code, each.camera) for each in job.incidents] == [("clock_offset_applied", "cam1")]


def test_unless_it_is_switched_on_nothing_is_learned(deployment: Deployment) -> None:
    for number in range(1, LEAST_PAIRS + 1):
        deployment.answered(number, common.VERDICT_VALID)
    assert Learning(deployment.records, enabled=False).pin(deployment.job(), QUERY).learned == ()
