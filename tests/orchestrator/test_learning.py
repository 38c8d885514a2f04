"""Transits are learned from what people confirmed in a site's earlier jobs, and each job keeps to what it began with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.orchestrator.bench import request
from throughline.domain.transits import LEAST_PAIRS
from throughline.orchestrator.answers import Answers
from throughline.orchestrator.jobs import Jobs, Submission
from throughline.orchestrator.learning import Learning
from throughline.orchestrator.ranking import FIRST_ROUND, Ranking
from throughline.orchestrator.rounds import RoundId, Rounds
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

    def job(self, site: str = "store") -> str:
        message = request(options=pb.JobOptions(site=site))
        return self.jobs.create(Submission(message, "digest", "{}", "cam1", ""))[0]

    def answered(self, number: int, verdict: common.Verdict.ValueType, site: str = "store") -> str:
        """A job whose person went from cam1 to cam2 in 10 s, if `verdict` says so."""
        job_id = self.job(site)
        self.ranking.save_query(job_id, [track("cam1", number, 100)], 1.0)
        pair = Candidate(pair_id=f"{number}-{site}", track=track("cam2", number, 115), similarity=0.9)
        self.ranking.save_candidates(job_id, FIRST_ROUND, [pair])
        self.ranking.save_clip(job_id, FIRST_ROUND, pair.pair_id, "file:///clip.mp4")
        Rounds(self.records, 0.0).open(RoundId(job_id, FIRST_ROUND), 3600)
        message = pb.AnnotationResultRequest(
            request_id=f"{number}-{site}",
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
        deployment.answered(number, common.VERDICT_VALID, f"lonely {number}")
    learning = Learning(deployment.records, enabled=True)
    (found,) = learning.pin(deployment.job(), QUERY).learned
    assert (found.from_camera, found.to_camera, found.pairs) == ("cam1", "cam2", LEAST_PAIRS)
    assert found.median_ns == pytest.approx(10 * SECOND)
    for site in ("wrong", "lonely 1", "new"):
        assert learning.pin(deployment.job(site), QUERY).learned == ()


def test_a_job_keeps_to_what_it_began_with(deployment: Deployment) -> None:
    learning, job_id = Learning(deployment.records, enabled=True), deployment.job()
    assert learning.pin(job_id, QUERY).learned == ()
    for number in range(1, LEAST_PAIRS + 1):
        deployment.answered(number, common.VERDICT_VALID)
    assert learning.pin(job_id, QUERY).learned == ()
    assert learning.pinned(job_id).query == QUERY
    assert len(learning.pin(deployment.job(), QUERY).learned) == 1


def test_unless_it_is_switched_on_nothing_is_learned(deployment: Deployment) -> None:
    for number in range(1, LEAST_PAIRS + 1):
        deployment.answered(number, common.VERDICT_VALID)
    assert Learning(deployment.records, enabled=False).pin(deployment.job(), QUERY).learned == ()
