from __future__ import annotations

import pytest

from tests.ingest.footage import DiskFootage, Footage, S3Footage
from throughline.domain.errors import Conflict, InvalidInput, NotFound, NoUsableFootage, PermissionDenied
from throughline.ingest.listing import DEFAULT_EXTENSIONS, list_footage
from throughline.ingest.pinning import pin_footage
from throughline.storage.objects import open_objects


def names(footage: Footage, *cameras: str) -> dict[str, list[str]]:
    listing = list_footage(footage.objects, footage.uri, cameras)
    return {camera: [chunk.name for chunk in chunks] for camera, chunks in listing.cameras.items()}


def test_each_folder_is_a_camera_and_each_video_at_any_depth_a_chunk(any_footage: Footage) -> None:
    for name in (
        "till/b.mp4",
        "till/a.MKV",
        "till/2026/03/01/c.ts",
        "door 2/ü.mov",
        "door 2/no-extension",
        "door 2/10.00.00",
    ):
        any_footage.put(name, b"x")

    assert names(any_footage) == {
        "door 2": ["10.00.00", "no-extension", "ü.mov"],
        "till": ["2026/03/01/c.ts", "a.MKV", "b.mp4"],
    }


def test_chunks_are_pinned_by_size_and_etag(any_footage: Footage) -> None:
    any_footage.put("cam1/a.mp4", b"12345")

    (chunk,) = list_footage(any_footage.objects, any_footage.uri.rstrip("/")).cameras["cam1"]

    assert (chunk.uri, chunk.size_bytes) == (any_footage.uri + "cam1/a.mp4", 5)
    assert chunk.etag == any_footage.objects.head(chunk.uri).etag


def test_whatever_is_not_footage_is_named(any_footage: Footage) -> None:
    any_footage.put("cam1/a.mp4", b"x")
    for index in range(5):
        any_footage.put(f"cam1/{index}.json", b"{}")
    any_footage.put("cam2/notes.txt", b"x")
    any_footage.put("loose.mp4", b"x")

    listing = list_footage(any_footage.objects, any_footage.uri)

    assert list(listing.cameras) == ["cam1"]
    said = {incident.code: incident.message for incident in listing.incidents}
    assert said["object_outside_camera"].startswith("loose.mp4 right below ")
    assert said["camera_without_video"].startswith("camera cam2 has no video in ")
    foreign = [incident.message for incident in listing.incidents if incident.code == "object_not_video"]
    assert foreign[0].startswith("camera cam1: 5 objects (0.json, 1.json, 2.json, ...) skipped: not named like video")
    assert foreign[1].startswith("camera cam2: notes.txt skipped")


def test_names_that_could_leave_the_folder_are_skipped(s3_footage: S3Footage) -> None:
    for name in (
        "cam1/a.mp4",
        "cam1/../../etc/passwd.mp4",
        "../cam9/b.mp4",
        "cam1//c.mp4",
        "cam1/./d.mp4",
        "cam1/a..b.mp4",
    ):
        s3_footage.put(name, b"x")

    listing = list_footage(s3_footage.objects, s3_footage.uri)

    assert [chunk.name for chunk in listing.cameras["cam1"]] == ["a..b.mp4", "a.mp4"]
    assert list(listing.cameras) == ["cam1"]
    assert [incident.code for incident in listing.incidents] == ["object_name_unsafe"]
    assert listing.incidents[0].message.startswith("4 objects (../cam9/b.mp4, ")


def test_only_the_cameras_asked_for_take_part(any_footage: Footage) -> None:
    for camera in ("cam1", "cam2", "cam3"):
        any_footage.put(f"{camera}/a.mp4", b"x")

    listing = list_footage(any_footage.objects, any_footage.uri, ("cam1", "cam3", "cam8"))

    assert list(listing.cameras) == ["cam1", "cam3"]
    assert [incident.code for incident in listing.incidents] == ["camera_unknown"]


def test_a_prefix_without_footage_says_what_is_there(any_footage: Footage) -> None:
    with pytest.raises(NoUsableFootage, match="there is no folder in it"):
        list_footage(any_footage.objects, any_footage.uri)
    with pytest.raises(NoUsableFootage, match="there is no folder cam1 or cam2 in it"):
        list_footage(any_footage.objects, any_footage.uri, ("cam2", "cam1"))
    any_footage.put("a.mp4", b"x")
    any_footage.put("docs/b.pdf", b"x")
    with pytest.raises(NoUsableFootage, match=r"its folders \(docs\) hold no video; a.mp4 lie right below it"):
        list_footage(any_footage.objects, any_footage.uri)


def test_a_bucket_that_is_not_there_and_a_folder_that_is_not_allowed_are_said(s3_footage: S3Footage) -> None:
    objects = open_objects(s3_footage.settings)
    with pytest.raises(NotFound, match="nowhere-to-be-found"):
        list_footage(objects, "s3://nowhere-to-be-found/recordings/")
    with pytest.raises(PermissionDenied):
        list_footage(objects, "file:///etc/")
    with pytest.raises(InvalidInput):
        list_footage(objects, "ftp://host/recordings/")


def test_a_job_keeps_its_listing_whatever_comes_later(footage: DiskFootage) -> None:
    footage.put("cam1/a.mp4", b"x")
    first = pin_footage(footage.objects, footage.workspace, "job-1", footage.uri, (), DEFAULT_EXTENSIONS)
    footage.put("cam1/b.mp4", b"x")
    again = pin_footage(footage.objects, footage.workspace, "job-1", footage.uri, (), DEFAULT_EXTENSIONS)
    other = pin_footage(footage.objects, footage.workspace, "job-2", footage.uri, (), DEFAULT_EXTENSIONS)

    assert again == first
    assert len(other[1].cameras["cam1"]) == 2
    with pytest.raises(Conflict, match="job job-1 has a listing of"):
        pin_footage(footage.objects, footage.workspace, "job-1", footage.uri + "cam1/", (), DEFAULT_EXTENSIONS)
    for job in ("", "../x", "a/b"):
        with pytest.raises(InvalidInput, match="job_id"):
            pin_footage(footage.objects, footage.workspace, job, footage.uri, (), DEFAULT_EXTENSIONS)
