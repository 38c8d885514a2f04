"""Ten jobs at once on the deployment of the matrix, two of them on the same footage: what they took, and what was wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos.scene import Scene, fresh_name
from tests.whole.crowd import frames, gather, runs
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import STAGE_INGEST, STAGE_TRACK

JOBS = 10
_RATE = 5.0
"""Frames a second that no other job asks for, so that nothing is detected already."""
_MOST_GROWTH_BYTES = 1_500_000_000


@dataclass(frozen=True, slots=True)
class Crowding:
    """Figures, and in `problems` every bar that was missed. RSS is of all services together."""

    jobs: int
    seconds: list[float]
    rss_before_mb: int
    rss_peak_mb: int
    reels_made: int
    cameras_tracked: int
    pictures_detected: int
    problems: list[str]


def crowded(scene: Scene) -> Crowding:
    """Submit ten jobs at once and measure. The copies of the footage have the same content: each chunk is detected once."""
    theatre = scene.theatre
    tracked = theatre.folders("tracks")
    crowd = gather(theatre, JOBS, fresh_name("crowd"), analysis_rate=_RATE)
    new, places = theatre.folders("tracks") - tracked, JOBS - 1
    reels, tracks = (sum(runs(job, stage) for job in crowd.jobs) for stage in (STAGE_INGEST, STAGE_TRACK))
    once = places * len(theatre.store.clocks)
    first, *others = (theatre.outcome(job) for job in crowd.jobs)
    bars = {
        "every job succeeds": all(job.state == pb.JOB_STATE_SUCCEEDED for job in crowd.jobs),
        "all come to the same": all(outcome == first for outcome in others),
        f"{once} reels are made": reels == once,
        f"{once} cameras are tracked": tracks == once,
        "each chunk is detected once": crowd.pictures == frames(theatre, new) // places > 0,
        "memory grows by 1.5 GB at most": crowd.rss_peak - crowd.rss_before <= _MOST_GROWTH_BYTES,
    }
    return Crowding(
        jobs=JOBS,
        seconds=[round(seconds, 1) for seconds in crowd.seconds],
        rss_before_mb=crowd.rss_before // 10**6,
        rss_peak_mb=crowd.rss_peak // 10**6,
        reels_made=reels,
        cameras_tracked=tracks,
        pictures_detected=crowd.pictures,
        problems=[bar for bar, holds in bars.items() if not holds],
    )
