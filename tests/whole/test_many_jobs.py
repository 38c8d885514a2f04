"""Jobs beside each other: what they share is done once, memory is bounded, and none waits for all the others."""

from __future__ import annotations

from tests.whole.crowd import frames, gather, runs
from tests.whole.deployment import Theatre
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import STAGE_TRACK

_MOST_GROWTH_BYTES = 1_500_000_000


def test_three_jobs_at_once_of_which_two_share_footage(theatre: Theatre) -> None:
    tracked = theatre.folders("tracks")
    crowd = gather(theatre, 3, "three", analysis_rate=4)  # a rate that nobody asked for before
    assert all(job.state == pb.JOB_STATE_SUCCEEDED for job in crowd.jobs)
    new = theatre.folders("tracks") - tracked
    assert len(new) == 2 * len(theatre.store.clocks)
    assert crowd.pictures == frames(theatre, new) // 2 > 0, (
        "chunks of the same content are detected once, wherever they lie"
    )
    assert sum(runs(job, STAGE_TRACK) for job in crowd.jobs) == 2 * len(theatre.store.clocks)
    assert crowd.rss_peak - crowd.rss_before < _MOST_GROWTH_BYTES
