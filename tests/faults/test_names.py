"""Cameras and chunks of every name that S3 can hold: up to 1024 bytes of any text."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ingest.footage import DiskFootage, S3Footage, codes, seen
from tests.media.clips import Clip, steady
from tests.orchestrator.bench import QUERY, request, settings_for
from tests.perception.triton.conftest import tiny_repository, tiny_triton  # noqa: F401 - fixtures
from throughline.domain.errors import InvalidInput
from throughline.domain.footage import Listing
from throughline.domain.time import Instant
from throughline.domain.work import Work
from throughline.ingest.listing import list_footage
from throughline.orchestrator.submission import check_submission
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer
from throughline.renderer.draw import BLUE, Caption, Lettering, draw_caption
from throughline.storage.objects import open_objects
from throughline.tracker.pieces import cut_into_pieces
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import EVERYWHERE, TrackStage
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import ClockMap

CLIP = Clip(steady(15))
TIME = "2026-03-01T10-00-00Z"

NAMES = {
    "900 letters": "k" * 900,
    "450 letters of two bytes": "ü" * 450,
    "220 emoji": "🛒" * 220,
    "spaces and quotes": """ 'Kasse' "7"  `a` """,
    "signs": "#?&%20+=;:@!$*()[]{}|\\^~<>,",
    "reserved on Windows": "CON",
    "ends in a dot": "nul.",
    "right to left": "כניסה ראשית",
    "begins with a dash": "--help",
    "looks like a template": "${HOME} {0} %s",
}


@pytest.fixture
def client(tiny_triton: TritonServer) -> Iterator[InferenceClient]:  # noqa: F811
    with InferenceClient(tiny_triton.grpc_address) as client:
        yield client


@pytest.mark.parametrize("name", NAMES)
def test_cameras_of_any_name_are_collated_and_tracked(
    s3_footage: S3Footage, client: InferenceClient, name: str
) -> None:
    camera = NAMES[name]
    s3_footage.clip(f"{camera}/{TIME}.mp4", CLIP)
    made = s3_footage.collate(camera)
    assert (made.reel.camera, codes(made)) == (camera, [])
    assert [number for _, number in seen(made)] == list(range(15))
    tracked = TrackStage(s3_footage.workspace, client, TrackerSettings()).run(
        made.artifact.uri, camera, 5.0, EVERYWHERE, Work()
    )
    assert tracked.summary.camera == camera


@pytest.mark.parametrize("name", NAMES)
def test_chunks_of_any_name_are_collated_and_give_files_that_every_disk_takes(s3_footage: S3Footage, name: str) -> None:
    chunk = f"{NAMES[name]}/{TIME} {NAMES[name][:15]}.mp4"
    s3_footage.clip(f"cam1/{chunk}", CLIP)
    made = s3_footage.collate("cam1")
    assert ([each.name for each in made.reel.chunks], codes(made)) == ([chunk], [])
    assert [number for _, number in seen(made)] == list(range(15))
    for piece in cut_into_pieces(made.reel, None, 60.0):
        assert len(piece.file_name.encode()) <= 255
        assert "/" not in piece.file_name


def test_names_that_differ_in_case_or_normalisation_alone_are_cameras_of_their_own(s3_footage: S3Footage) -> None:
    composed = unicodedata.normalize("NFC", "Süd")
    cameras = ["Kasse", "KASSE", "kasse", composed, unicodedata.normalize("NFD", composed)]
    for index, camera in enumerate(cameras):
        s3_footage.clip(f"{camera}/{TIME}.mp4", Clip(steady(15), first_number=100 * index))
    listing = list_footage(s3_footage.objects, s3_footage.uri)
    assert sorted(listing.cameras) == sorted(cameras)
    for index, camera in enumerate(cameras):
        assert seen(s3_footage.collate(camera))[0] == ("10:00:00.000", 100 * index)


UNSAFE = ["../cam", "cam/../../etc/passwd", "./cam", "cam//double", "cam/\x7f", "cam/nel\x85", "cam/line\u2028"]


@pytest.mark.parametrize("name", UNSAFE)
def test_names_that_could_lead_astray_are_left_out_by_name(s3_footage: S3Footage, name: str) -> None:
    s3_footage.clip(f"cam1/{TIME}.mp4", CLIP)
    s3_footage.put(f"{name}/{TIME}.mp4", b"x")
    check_left_out(list_footage(s3_footage.objects, s3_footage.uri))


@pytest.mark.parametrize("name", ["cam/bell\a", "cam/new\nline", "cam/\x1b[2J"])
def test_files_whose_names_speak_to_terminals_are_left_out_by_name(footage: DiskFootage, name: str) -> None:
    footage.clip(f"cam1/{TIME}.mp4", CLIP)
    footage.put(f"{name}/{TIME}.mp4", b"x")
    check_left_out(list_footage(footage.objects, footage.uri))


def check_left_out(listing: Listing) -> None:
    assert list(listing.cameras) == ["cam1"]
    (unsafe,) = (incident for incident in listing.incidents if incident.code == "object_name_unsafe")
    assert (unsafe.message + unsafe.subject).isprintable(), "a terminal or a log must survive it"


def test_a_key_of_1024_bytes_is_used(s3_footage: S3Footage) -> None:
    left = 1024 - len(f"recordings//{TIME}.mp4")
    camera = "é" * (left // 2) + "e" * (left % 2)
    s3_footage.clip(f"{camera}/{TIME}.mp4", CLIP)
    assert len(seen(s3_footage.collate(camera))) == 15


def test_a_uri_longer_than_any_key_is_refused_by_name(s3_footage: S3Footage) -> None:
    with pytest.raises(InvalidInput, match="1024 bytes"):
        s3_footage.objects.read(f"s3://{s3_footage.bucket}/{'k' * 1025}")


@pytest.mark.parametrize("name", NAMES)
def test_a_request_may_name_cameras_and_people_by_any_name(tmp_path: Path, name: str) -> None:
    settings = settings_for(tmp_path, "127.0.0.1:7")
    query = json.dumps(QUERY | {"camera": NAMES[name], "label": NAMES[name]})
    options = pb.JobOptions(cameras=[NAMES[name]], clock_maps=[ClockMap(camera=NAMES[name], offset_ns=5)])
    submission = check_submission(request(query_json=query, options=options), open_objects(settings), settings)
    assert (submission.camera, submission.label) == (NAMES[name], NAMES[name])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"request_id": "r" * 900}, "request_id: 'rrr", id="request_id"),
        pytest.param({"request_id": "é"}, "expected 1 to 128 characters of A-Z a-z 0-9", id="letters of request_id"),
        pytest.param({"options": pb.JobOptions(labels={"store": "l" * 900})}, r"labels\['store'\]", id="labels"),
        pytest.param({"options": pb.JobOptions(cameras=["c" * 1025])}, r"cameras\[0\]", id="camera beyond a key"),
        pytest.param({"footage_uri": f"s3://bucket/{'p' * 2100}"}, "footage_uri", id="footage_uri"),
    ],
)
def test_what_is_too_long_for_its_field_is_answered_by_the_field(
    tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    settings = settings_for(tmp_path, "127.0.0.1:7")
    with pytest.raises(InvalidInput, match=words) as raised:
        check_submission(request(**fields), open_objects(settings), settings)
    assert len(str(raised.value)) < 1000


def test_a_caption_of_900_letters_is_shortened_in_no_time() -> None:
    bar = np.zeros((40, 640, 3), np.uint8)
    lettering = Lettering()
    began = time.process_time()
    for _ in range(20):
        draw_caption(lettering, bar, Caption("Kasse " * 150, Instant(0), BLUE))
    assert time.process_time() - began < 2
    assert (bar > 128).any()
