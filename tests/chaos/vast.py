"""One job over many cameras, most of them with one chunk, on the deployment of the matrix, and a small job that comes after it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from tests.chaos.matrix import stage_name
from tests.chaos.scene import Scene, fresh_name
from tests.whole.crowd import rss, runs, sampled
from throughline.cli.watch import ENDED
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import STAGE_INGEST, STAGE_TRACK

CAMERAS = 500
_CANDIDATES = 20
_MOST_GROWTH_BYTES = 1_500_000_000
_PATIENCE_SECONDS = 1800
_MOST_JOB_BYTES = 4 * 2**20
"""What gRPC's clients of every language take by default."""


@dataclass(frozen=True, slots=True)
class Vastness:
    """Figures, and in `problems` every bar that was missed. RSS is of all services together."""

    cameras: int
    seconds: float
    seconds_of_stages: dict[str, float]
    seconds_of_small_job: float
    """Submitted right after it."""
    tracks_of_query: int
    candidates: int
    bytes_of_job: int
    rss_before_mb: int
    rss_peak_mb: int
    problems: list[str]


def vast(scene: Scene, cameras: int = CAMERAS) -> Vastness:
    """Run both and measure. The query's camera and its neighbours are those of the store; the others have its first chunk each."""
    theatre, name = scene.theatre, fresh_name("vast")
    small = theatre.finished(theatre.submit(f"{name}-peace"))
    footage = theatre.footage / name
    shutil.copytree(theatre.store.footage, footage)
    chunk = min(path for path in footage.rglob("*") if path.is_file())
    for number in range(len(theatre.store.clocks), cameras):
        copy = footage / f"copy {number:04d}" / chunk.name
        copy.parent.mkdir()
        os.link(chunk, copy)
    before = rss(theatre)
    with sampled(theatre) as samples:
        job_id = theatre.submit(f"{name}-job", f"file://{footage}/", max_candidates=_CANDIDATES)
        small_id = theatre.submit(f"{name}-small")
        beside = theatre.finished(small_id)
        job = theatre.until(job_id, lambda job: job.state in ENDED, _PATIENCE_SECONDS)
    bars = {
        "the job succeeds": job.state == pb.JOB_STATE_SUCCEEDED,
        "every camera is collated once": runs(job, STAGE_INGEST) == cameras,
        "every camera is tracked once": runs(job, STAGE_TRACK) == cameras,
        "only the cut of the candidates is reported": {each.code for each in job.incidents} == {"candidates_cut"},
        "the query is found in the same tracks": _query(job) == _query(small),
        "the small job comes to the same as alone": theatre.outcome(beside) == theatre.outcome(small),
        "the small job ends first": beside.ended_ns < job.ended_ns,
        "every client can take the job's state": job.ByteSize() < _MOST_JOB_BYTES,
        "memory grows by 1.5 GB at most": max(samples) - before <= _MOST_GROWTH_BYTES,
    }
    return Vastness(
        cameras=cameras,
        seconds=_seconds(job),
        seconds_of_stages={stage_name(timing.stage): round(timing.seconds, 1) for timing in job.timings},
        seconds_of_small_job=_seconds(beside),
        tracks_of_query=len(job.query_tracks),
        candidates=len(job.candidates),
        bytes_of_job=job.ByteSize(),
        rss_before_mb=before // 10**6,
        rss_peak_mb=max(samples) // 10**6,
        problems=[bar for bar, holds in bars.items() if not holds]
        + ([job.error] if job.error else [])
        + [incident.message for incident in job.incidents if incident.code != "candidates_cut"][:3],
    )


def _query(job: pb.Job) -> list[tuple[str, int]]:
    return [(track.camera, track.span.start_ns) for track in job.query_tracks]


def _seconds(job: pb.Job) -> float:
    return round((job.ended_ns - job.created_ns) / 1e9, 1)
