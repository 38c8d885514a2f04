"""Prefixes that are empty, flat or misspelt, and queries that miss the footage: each is answered clearly."""

from __future__ import annotations

import json

import pytest

from tests.ingest.footage import DiskFootage, S3Footage, codes, seen
from tests.media.clips import Clip, steady
from tests.orchestrator.bench import QUERY, Client
from tests.orchestrator.conftest import client, home, orchestrator, running_script, script  # noqa: F401 - fixtures
from tests.orchestrator.scripted import Script
from throughline.domain.errors import NoUsableFootage
from throughline.domain.time import NS_PER_SECOND, Instant, Interval
from throughline.ingest.listing import list_footage
from throughline.v1 import orchestrator_pb2 as pb

CLIP = Clip(steady(30))
NAME = "20260301_100000.mp4"
TEN = Instant.parse("2026-03-01T10:00:00Z")


def test_an_empty_prefix_and_one_that_was_never_there_say_what_is_expected(s3_footage: S3Footage) -> None:
    with pytest.raises(NoUsableFootage, match=r"has no footage: there is no folder in it\. Give the URI of a folder"):
        list_footage(s3_footage.objects, s3_footage.uri)


def test_chunks_at_the_top_level_are_named_with_where_they_belong(s3_footage: S3Footage) -> None:
    s3_footage.clip(NAME, CLIP)
    with pytest.raises(NoUsableFootage, match=rf"{NAME} lie right below it, outside of any camera's folder"):
        list_footage(s3_footage.objects, s3_footage.uri)


def test_a_prefix_one_level_too_high_takes_stores_for_cameras_and_chunks_keep_their_folders(
    footage: DiskFootage,
) -> None:
    footage.clip(f"store/cam1/{NAME}", CLIP)
    footage.clip("store/cam2/20260301_100002.mp4", CLIP)
    listing = list_footage(footage.objects, footage.uri)
    assert {name: [chunk.name for chunk in chunks] for name, chunks in listing.cameras.items()} == {
        "store": [f"cam1/{NAME}", "cam2/20260301_100002.mp4"]
    }


def test_one_camera_is_enough(footage: DiskFootage) -> None:
    footage.clip(f"cam1/{NAME}", CLIP)
    assert len(seen(footage.collate("cam1"))) == 30


@pytest.mark.parametrize("asked", ["CAM1", "cam1 ", "ｃａｍ1"])
def test_a_camera_that_differs_in_case_alone_is_another_and_the_right_one_is_suggested(
    footage: DiskFootage, asked: str
) -> None:
    footage.clip(f"cam1/{NAME}", CLIP)
    footage.clip(f"cam2/{NAME}", CLIP)
    with pytest.raises(NoUsableFootage, match="did you mean 'cam1'"):
        list_footage(footage.objects, footage.uri, [asked])
    (incident,) = list_footage(footage.objects, footage.uri, [asked, "cam2"]).incidents
    assert incident.code == "camera_unknown"
    assert "Did you mean 'cam1'? Upper and lower case count" in incident.message


def test_a_window_beside_the_footage_leaves_a_reel_without_parts_and_no_blame(footage: DiskFootage) -> None:
    footage.clip(f"cam1/{NAME}", CLIP)
    footage.clip("cam1/20260301_100010.mp4", CLIP)
    made = footage.collate("cam1", window=Interval(TEN + -3600 * NS_PER_SECOND, TEN + -1800 * NS_PER_SECOND))
    assert (made.reel.parts, codes(made)) == ((), [])


def of_camera(name: str) -> str:
    return json.dumps(QUERY | {"camera": name})


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        pytest.param("Cam1", "did you mean 'cam1'? Upper and lower case count", id="case"),
        pytest.param("cam9", "the cameras there are cam1, ", id="unknown"),
    ],
)
def test_a_query_of_a_camera_that_is_not_there_fails_the_job_with_those_that_are(
    client: Client,  # noqa: F811
    script: Script,  # noqa: F811
    camera: str,
    words: str,
) -> None:
    job = client.until(client.submit(query_json=of_camera(camera)), pb.JOB_STATE_FAILED)
    assert f"{camera!r} has no footage below" in job.error
    assert words in job.error
    assert script.count("Collate") == 0, "nobody works for a job that cannot end well"


def test_of_500_cameras_a_failure_names_a_few(client: Client, script: Script) -> None:  # noqa: F811
    script.cameras = tuple(f"camera {number:03d}" for number in range(500))
    job = client.until(client.submit(query_json=of_camera("cam1")), pb.JOB_STATE_FAILED)
    assert "and 490 more" in job.error
    assert len(job.error) < 600


def test_other_cameras_without_footage_in_the_time_asked_for_are_named_and_the_job_goes_on(
    client: Client,  # noqa: F811
    script: Script,  # noqa: F811
) -> None:
    script.empty_cameras = {"cam2"}
    job = client.until(client.submit(), pb.JOB_STATE_WAITING_FOR_REVIEW)
    assert [(incident.code, incident.camera) for incident in job.incidents] == [("camera_without_footage", "cam2")]
