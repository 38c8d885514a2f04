"""One camera of many chunks, and many cameras of one; smaller here than in `python -m tests.faults.scale`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.scale import footage_at, link_chunks, many_cameras, one_camera
from tests.orchestrator.bench import Client
from tests.orchestrator.conftest import client, home, orchestrator, running_script, script  # noqa: F401 - fixtures
from tests.orchestrator.scripted import Script
from tests.perception.triton.conftest import tiny_repository, tiny_triton  # noqa: F401 - fixtures
from throughline.domain.work import MOST_NAMED
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer
from throughline.v1 import orchestrator_pb2 as pb

OTHERS_LIMIT_BYTES = 4 * 2**20
"""What gRPC's clients of every language take by default."""


@pytest.fixture
def inference(tiny_triton: TritonServer) -> Iterator[InferenceClient]:  # noqa: F811
    with InferenceClient(tiny_triton.grpc_address) as inference:
        yield inference


def test_a_camera_of_many_chunks_is_one_part_and_a_ready_piece_each(tmp_path: Path, inference: InferenceClient) -> None:
    made, figures = one_camera(tmp_path, 100, inference)
    assert len(made.reel.parts) == 1
    assert len(made.reel.chunks) == 100
    assert figures.counts["files in reels"] == 4
    assert figures.counts["files in detections"] == 300, "detections, report and manifest of each chunk, made once"
    assert figures.counts["incidents"] == 0


def test_many_cameras_are_listed_in_one_small_message(tmp_path: Path, inference: InferenceClient) -> None:
    figures = many_cameras(tmp_path, 20, inference)
    assert figures.counts["cameras"] == 20
    assert figures.counts["bytes of ListFootageResponse"] < 20 * 100


def test_2000_bad_chunks_are_told_in_a_message_of_bounded_size(tmp_path: Path) -> None:
    footage = footage_at(tmp_path)
    link_chunks(footage, (f"cam1/{index:05d}_20260301_100000.mp4" for index in range(2000)))
    made = footage.collate("cam1")
    assert len(made.reel.chunks) == 2000
    assert len(made.reel.incidents) == MOST_NAMED + 1, "all but the first cover the same time"
    assert sum(len(incident.message) for incident in made.reel.incidents) < 20_000
    assert "more of the kind chunk_covered" in made.reel.incidents[-1].message


def test_jobs_of_many_cameras_stay_within_every_clients_message_limit(client: Client, script: Script) -> None:  # noqa: F811
    cameras = 60
    script.cameras = ("cam1", *(f"{'camera ' * 30}{number:03d}" for number in range(1, cameras)))
    job_id = client.submit()
    states = client.watch(job_id, (pb.JOB_STATE_WAITING_FOR_REVIEW,), seconds=300)
    job = client.job(job_id)
    assert len([each for each in job.progress if each.camera]) >= cameras
    largest = max(each.ByteSize() for each in (*states, job))
    listed = client.call("ListJobs", pb.ListJobsRequest(page_size=1000))
    assert max(len(each.incidents) for each in listed.jobs) <= 20
    assert largest / cameras * 500 < OTHERS_LIMIT_BYTES / 4, "500 cameras take a quarter at most"
