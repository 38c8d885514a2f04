"""Jobs beside each other: what they share is done once, memory is bounded, and none waits for all the others."""

from __future__ import annotations

from tests.whole.crowd import gather, pictures, runs
from tests.whole.deployment import Theatre
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import STAGE_TRACK

_MOST_GROWTH_BYTES = 1_500_000_000


def test_three_jobs_at_once_of_which_two_share_footage(theatre: Theatre, undisturbed_job: pb.Job) -> None:
    before = pictures(theatre)
    theatre.finished(theatre.submit("one-of-one"))
    once = pictures(theatre) - before
    crowd = gather(theatre, 3, "three")
    assert {theatre.outcome(job) for job in crowd.jobs} == {theatre.outcome(undisturbed_job)}
    assert crowd.pictures == 2 * once
    assert sum(runs(job, STAGE_TRACK) for job in crowd.jobs) == 2 * len(theatre.store.clocks)
    assert crowd.rss_peak - crowd.rss_before < _MOST_GROWTH_BYTES
