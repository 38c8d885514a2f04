"""Many jobs at once on one deployment, two of them on the same footage, and what they took."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from tests.whole.deployment import Theatre
from throughline.cli.serve import Servable
from throughline.perception.triton.client import DETECTOR, InferenceClient
from throughline.storage.documents import load
from throughline.tracker.artifacts import SUMMARY_FILE, TrackSummary
from throughline.v1 import orchestrator_pb2 as pb

_SAMPLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Crowd:
    """What became of the jobs. RSS is of all services together, in bytes; pictures are those that the detector had."""

    jobs: tuple[pb.Job, ...]
    rss_before: int
    rss_peak: int
    pictures: int
    """Pictures of all jobs together."""

    @property
    def seconds(self) -> list[float]:
        """How long each job took."""
        return [(job.ended_ns - job.created_ns) / 1e9 for job in self.jobs]


def pictures(theatre: Theatre) -> int:
    """How many pictures the detector has had."""
    with InferenceClient(theatre.deployment.addresses[Servable.TRITON]) as client:
        return client.statistics(DETECTOR).inference_count


def runs(job: pb.Job, stage: int) -> int:
    """How often a stage's work was really done for a job."""
    return sum(timing.runs for timing in job.timings if timing.stage == stage)


def frames(theatre: Theatre, tracks: set[str]) -> int:
    """Frames that some tracks artifacts are made of."""
    folder = theatre.deployment.home / "workspace" / "tracks"
    return sum(load(TrackSummary, (folder / key / SUMMARY_FILE).read_bytes()).frame_count for key in tracks)


def gather(theatre: Theatre, count: int, name: str, **options: Any) -> Crowd:
    """Submit so many jobs at once, the last two of them on the same footage, and wait for all."""
    before, detected = rss(theatre), pictures(theatre)
    shutil.copytree(theatre.store.footage, theatre.footage / f"{name}-shared")
    shared = f"file://{theatre.footage / f'{name}-shared'}/"
    with sampled(theatre) as samples:
        ids = [
            theatre.submit(f"{name}-{number}", shared if number >= count - 2 else "", **options)
            for number in range(count)
        ]
        jobs = tuple(theatre.finished(job_id) for job_id in ids)
    return Crowd(jobs, before, max(before, *samples), pictures(theatre) - detected)


@contextmanager
def sampled(theatre: Theatre) -> Iterator[list[int]]:
    """While the block runs, memory of all processes is written down, from time to time and at the end."""
    samples: list[int] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLE_SECONDS):
            samples.append(rss(theatre))

    sampling = threading.Thread(target=sample)
    sampling.start()
    try:
        yield samples
    finally:
        done.set()
        sampling.join()
        samples.append(rss(theatre))


def rss(theatre: Theatre) -> int:
    """Memory of all processes of the deployment."""
    total = 0
    for child in theatre.supervisor.children:
        process = psutil.Process(theatre.pid(child.spec.name))
        total += sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))
    return total
