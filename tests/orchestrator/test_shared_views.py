"""Clocks of cameras whose views overlap are asked of the tracker from what other jobs confirmed, and told of and applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.orchestrator.bench import request, settings_for
from tests.orchestrator.scripted import Script
from tests.orchestrator.test_learning import QUERY, Deployment
from throughline.domain.errors import DeadlineExceeded, InvalidInput, ThroughlineError
from throughline.domain.shared_views import LEAST_PEOPLE
from throughline.orchestrator.inflight import Errand
from throughline.orchestrator.jobs import Submission
from throughline.orchestrator.ledger import Ledger
from throughline.orchestrator.search_steps import SearchSteps
from throughline.orchestrator.stages import Stages
from throughline.storage.records import Records
from throughline.v1 import common_pb2 as common
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.tracker_pb2 import CameraPair, ClockReading

SECOND = 10**9
TOPOLOGY = "overlaps: [[cam1, cam2], [cam1, cam3]]"
READING = ClockReading(
    cameras=CameraPair(one="cam1", other="cam2"),
    one_time_ns=100 * SECOND,
    other_time_ns=104 * SECOND,
    uncertainty_ns=SECOND // 10,
    pairs=12,
)


class Site(Deployment):
    """A deployment whose jobs know which views overlap."""

    def __init__(self, records: Records, settings_folder: Path, services: str) -> None:
        super().__init__(records)
        settings = settings_for(settings_folder, services)
        self.ledger = Ledger.over(records, settings)
        self.stages = Stages(settings)
        self.steps = SearchSteps(self.ledger, self.stages, pairs_per_call=2, poll_seconds=0.05)

    def confirmed(self, people: int) -> None:
        """By a job each, in both cameras."""
        for number in range(1, people + 1):
            job_id = self.answered(number, common.VERDICT_VALID, second=101)
            self.with_tracks(job_id)

    def with_tracks(self, job_id: str) -> None:
        self.ledger.cameras.save_listing(job_id, ["cam1", "cam2"])
        for camera in ("cam1", "cam2"):
            tracks = common.ArtifactRef(uri=f"file:///workspace/tracks/{camera}/", key=f"key-{camera}")
            self.ledger.cameras.save_tracks(job_id, camera, tracks)

    def asking(self, topology: str = TOPOLOGY) -> str:
        message = request(options=pb.JobOptions(site="store"))
        job_id = self.jobs.create(Submission(message, "digest", "{}", "cam1", "", topology))[0]
        self.with_tracks(job_id)
        return job_id

    def rank(self, job_id: str) -> list[str]:
        """Rank for the first round; return the codes of the job's incidents."""
        self.steps.rank_candidates(Errand(job_id, bound=False), (QUERY.uri, QUERY.key))
        return [incident.code for incident in self.ledger.view.job(job_id).incidents]


@pytest.fixture
def site(tmp_path: Path, services: str, script: Script) -> Site:
    return Site(Records.open(f"sqlite:///{tmp_path}/records.db"), tmp_path, services)


def test_people_in_both_views_are_asked_about_once_there_are_enough(site: Site) -> None:
    site.confirmed(LEAST_PEOPLE - 1)
    assert site.ledger.shared_views.question(site.asking()) is None
    site.confirmed(LEAST_PEOPLE)
    asked = site.ledger.shared_views.question(site.asking())
    assert asked is not None
    assert list(asked.overlaps) == [CameraPair(one="cam1", other="cam2")], "nobody was seen by cam3"
    assert len(asked.people) == LEAST_PEOPLE, "whom two jobs looked for is one person"
    assert {track.camera for track in asked.people[0].tracks} == {"cam1", "cam2"}
    assert [tracks.tracks.uri for tracks in asked.tracks] == [
        f"file:///workspace/tracks/cam{number}/" for number in (1, 2)
    ]
    assert site.ledger.shared_views.question(site.asking("transits: [{between: [cam1, cam2], least: 2}]")) is None
    assert site.ledger.shared_views.question(site.asking("")) is None


def test_what_is_measured_is_told_of_pinned_and_applied_on_request(site: Site, script: Script) -> None:
    site.confirmed(LEAST_PEOPLE)
    script.readings = [READING]
    job_id = site.asking()
    assert site.rank(job_id).count("clock_offset_measured") == 2
    script.readings = []
    assert {each.camera: each.offset_ns for each in site.ledger.learning.clocks(job_id)} == {
        "cam1": -2 * SECOND,
        "cam2": 2 * SECOND,
    }
    plain = request(options=pb.JobOptions(site="store", apply_measured_clocks=True))
    corrected, incidents = site.ledger.learning.corrected(plain)
    assert {clock.camera: clock.offset_ns for clock in corrected.options.clock_maps} == {
        "cam1": 2 * SECOND,
        "cam2": -2 * SECOND,
    }
    assert incidents[0].message.endswith("by 12 confirmed pairs of tracks; it is corrected by that")
    site.rank(site.asking())
    assert site.ledger.learning.corrected(plain)[1] == (), "a job that asked later was told of nothing"


@pytest.mark.parametrize("failure", [InvalidInput("an older release"), DeadlineExceeded("too many people")])
def test_a_tracker_that_cannot_measure_does_not_stop_a_job(
    site: Site, script: Script, failure: ThroughlineError
) -> None:
    site.confirmed(LEAST_PEOPLE)
    script.fail("MeasureClocks", failure)
    assert "clock_offset_measured" not in site.rank(site.asking())
    assert script.count("RankCandidates") == 1
