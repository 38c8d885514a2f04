from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
import pytest

from tests.ingest.footage import S3Footage
from tests.media.clips import Clip, steady
from throughline.domain.errors import InvalidInput, NotFound, NoUsableFootage
from throughline.ingest.__main__ import build
from throughline.v1 import common_pb2, ingest_pb2
from throughline.v1.ingest_pb2_grpc import IngestStub
from throughline.wire.client import connect, translated_errors
from throughline.wire.service import serve


@pytest.fixture
def stub(s3_footage: S3Footage) -> Iterator[IngestStub]:
    server = serve([build(s3_footage.settings)], s3_footage.settings)
    channel = connect(server.address, s3_footage.settings)
    yield IngestStub(channel)
    channel.close()
    server.stop()


def listed(stub: IngestStub, uri: str, job: str = "job-1") -> ingest_pb2.ListFootageResponse:
    with translated_errors("ingest"):
        return stub.ListFootage(ingest_pb2.ListFootageRequest(job_id=job, footage_uri=uri))


def collated(stub: IngestStub, request: ingest_pb2.CollateRequest) -> list[ingest_pb2.CollateResponse]:
    with translated_errors("ingest"):
        return list(stub.Collate(request))


def test_footage_is_listed_and_collated_over_the_wire(stub: IngestStub, s3_footage: S3Footage) -> None:
    for index in range(4):
        s3_footage.clip(f"cam1/2026-03-01T10-00-0{index}Z.mp4", Clip(steady(15), first_number=15 * index))
    s3_footage.put("cam1/2026-03-01T10-00-04Z.mp4", b"")
    s3_footage.put("cam2/readme.txt", b"x")

    footage = listed(stub, s3_footage.uri)
    assert [(camera.camera, camera.chunk_count) for camera in footage.cameras] == [("cam1", 5)]
    assert {incident.code for incident in footage.incidents} == {"camera_without_video", "object_not_video"}
    assert {incident.stage for incident in footage.incidents} == {common_pb2.STAGE_LIST}

    request = ingest_pb2.CollateRequest(job_id="job-1", footage=footage.footage, camera="cam1")
    *steps, last = collated(stub, request)
    assert all(
        step.progress.unit in ("chunks", "chunks looked at") and step.progress.camera == "cam1" for step in steps
    )
    result = last.result
    assert (result.part_count, result.reused) == (1, False)
    assert result.camera_span.start_ns == 1_772_359_200_000_000_000
    assert [(incident.code, incident.stage) for incident in result.incidents] == [
        ("chunk_empty", common_pb2.STAGE_INGEST)
    ]
    assert s3_footage.workspace.get(result.reel.uri).names() == ["gops.parquet", "part-000.mp4", "reel.json"]

    again = collated(stub, request)[-1].result
    assert again.reused
    assert again.reel == result.reel
    assert list(again.incidents) == list(result.incidents)


def test_a_camera_whose_every_chunk_is_broken_is_a_result(stub: IngestStub, s3_footage: S3Footage) -> None:
    s3_footage.put("cam1/20260301_100000.mp4", b"")

    footage = listed(stub, s3_footage.uri)
    result = collated(stub, ingest_pb2.CollateRequest(footage=footage.footage, camera="cam1"))[-1].result

    assert result.part_count == 0
    assert not result.HasField("camera_span")
    assert [incident.code for incident in result.incidents] == ["chunk_empty"]


def test_mistakes_come_back_as_errors_that_say_what_to_do(stub: IngestStub, s3_footage: S3Footage) -> None:
    with pytest.raises(NoUsableFootage, match="has no footage"):
        listed(stub, s3_footage.uri)
    with pytest.raises(NotFound, match="no-such-bucket-here"):
        listed(stub, "s3://no-such-bucket-here/")
    s3_footage.put("cam1/a.mp4", b"x")
    footage = listed(stub, s3_footage.uri).footage
    with pytest.raises(NotFound, match="no camera cam2"):
        collated(stub, ingest_pb2.CollateRequest(footage=footage, camera="cam2"))
    with pytest.raises(InvalidInput, match="artifact reference"):
        collated(stub, ingest_pb2.CollateRequest(camera="cam1"))
    with pytest.raises(InvalidInput, match="IANA"):
        collated(stub, ingest_pb2.CollateRequest(footage=footage, camera="cam1", file_name_time_zone="Mars"))


def test_a_cancelled_call_stops_its_work_and_leaves_nothing(stub: IngestStub, s3_footage: S3Footage) -> None:
    for index in range(60):
        s3_footage.put(f"cam1/2026-03-01T10-00-{index:02d}Z.mp4", b"no video")
    footage = listed(stub, s3_footage.uri).footage
    request = ingest_pb2.CollateRequest(footage=footage, camera="cam1")

    call = stub.Collate(request)
    next(iter(call))
    call.cancel()

    with pytest.raises(grpc.RpcError):
        list(call)
    places = (s3_footage.settings.cache_dir, s3_footage.folder / "workspace" / "reels")
    deadline = time.monotonic() + 60
    while (left := [path for place in places for path in place.rglob("*.partial")]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []
    assert not (s3_footage.folder / "workspace" / "reels").exists() or not list(
        (s3_footage.folder / "workspace" / "reels").glob("*/manifest.json")
    )
