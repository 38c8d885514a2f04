"""The bucket changes while a job is at work: what was listed is what is used, and what is lost is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.proxy import Fault, FaultyS3, Request
from tests.ingest.footage import DiskFootage, S3Footage, codes, seen
from tests.media.clips import Clip, steady
from throughline.domain.work import Step, Work
from throughline.ingest.collate import CollatedReel, CollateRequest
from throughline.ingest.listing import list_footage
from throughline.ingest.pinning import pin_footage

FIRST, SECOND = "cam1/20260301_100000.mp4", "cam1/20260301_100002.mp4"
CLIP = Clip(steady(30))


def numbers(made: CollatedReel) -> list[int]:
    return [number for _, number in seen(made)]


def versioned(footage: S3Footage) -> None:
    footage.client.put_bucket_versioning(Bucket=footage.bucket, VersioningConfiguration={"Status": "Enabled"})


@pytest.mark.parametrize("change", ["replaced", "deleted", "grown"])
@pytest.mark.parametrize("is_versioned", [True, False], ids=["versioned", "not versioned"])
def test_what_changes_after_the_listing_is_read_as_it_was_or_named(
    s3_footage: S3Footage, change: str, is_versioned: bool
) -> None:
    if is_versioned:
        versioned(s3_footage)
    s3_footage.clip(FIRST, CLIP)
    data = s3_footage.clip(SECOND, replace(CLIP, first_number=30)).read_bytes()
    listing = list_footage(s3_footage.objects, s3_footage.uri)
    if change == "deleted":
        s3_footage.client.delete_object(Bucket=s3_footage.bucket, Key=f"recordings/{SECOND}")
    elif change == "grown":
        s3_footage.put(SECOND, data + b"\0" * 1_000)
    else:
        s3_footage.clip(SECOND, replace(CLIP, first_number=90))

    made = s3_footage.collator().collate(CollateRequest(listing, "cam1"), Work())

    assert numbers(made) == (list(range(60)) if is_versioned else list(range(30)))
    assert codes(made) == ([] if is_versioned else ["chunk_gone"])


@pytest.mark.parametrize("is_versioned", [True, False], ids=["versioned", "not versioned"])
def test_what_changes_in_the_middle_of_its_download_is_never_mixed(
    s3: FaultyS3, s3_footage: S3Footage, is_versioned: bool
) -> None:
    if is_versioned:
        versioned(s3_footage)
    s3_footage.clip(FIRST, CLIP)
    s3_footage.clip(SECOND, replace(CLIP, first_number=30))
    changed: list[Request] = []

    def change_halfway(request: Request) -> Fault | None:
        if request.method != "GET" or not request.key.endswith(SECOND) or changed:
            return None
        changed.append(request)
        s3_footage.clip(SECOND, replace(CLIP, first_number=90))
        return Fault(cut_after=0)

    listing = list_footage(s3_footage.objects, s3_footage.uri)
    s3.faults = change_halfway
    made = s3_footage.collator().collate(CollateRequest(listing, "cam1"), Work())
    assert changed
    assert numbers(made) == (list(range(60)) if is_versioned else list(range(30)))


def test_the_right_to_read_versions_is_not_needed(s3: FaultyS3, s3_footage: S3Footage) -> None:
    versioned(s3_footage)
    s3_footage.clip(FIRST, CLIP)
    s3_footage.clip(SECOND, CLIP)
    listing = list_footage(s3_footage.objects, s3_footage.uri)
    s3_footage.client.delete_object(Bucket=s3_footage.bucket, Key=f"recordings/{SECOND}")
    s3.faults = lambda request: Fault(403, "AccessDenied") if "versions" in request.query else None
    made = s3_footage.collator().collate(CollateRequest(listing, "cam1"), Work())
    assert (numbers(made), codes(made)) == (list(range(30)), ["chunk_gone"])


def test_a_file_that_grows_while_it_is_recorded_is_left_out_by_name(footage: DiskFootage) -> None:
    footage.clip(FIRST, CLIP)
    data = footage.clip(SECOND, replace(CLIP, first_number=30)).read_bytes()
    listing = list_footage(footage.objects, footage.uri)

    def grow(step: Step) -> None:
        if step == Step(2, 2, "chunks looked at"):
            footage.put(SECOND, data + b"more")

    made = footage.collator().collate(CollateRequest(listing, "cam1"), Work(on_step=grow))
    assert (numbers(made), codes(made)) == (list(range(30)), ["chunk_gone"])


def test_a_file_that_goes_away_while_the_one_before_is_copied_is_left_out_by_name(footage: DiskFootage) -> None:
    footage.clip(FIRST, CLIP)
    footage.clip(SECOND, replace(CLIP, first_number=30))

    def remove(step: Step) -> None:
        if step == Step(1, 2, "chunks"):
            (footage.root / SECOND).unlink(missing_ok=True)

    made = footage.collate("cam1", work=Work(on_step=remove))
    assert (numbers(made), codes(made)) == (list(range(30)), ["chunk_gone"])


def test_objects_that_are_added_during_a_job_wait_for_the_next_one(s3_footage: S3Footage) -> None:
    s3_footage.clip(FIRST, CLIP)

    def pinned(job_id: str) -> CollateRequest:
        listing = pin_footage(
            s3_footage.objects, s3_footage.workspace, job_id, s3_footage.uri, (), s3_footage.settings.ingest_extensions
        )[1]
        return CollateRequest(listing, "cam1")

    pinned("job-1")
    s3_footage.clip(SECOND, replace(CLIP, first_number=30))
    s3_footage.clip("cam2/20260301_100000.mp4", CLIP)
    assert list(pinned("job-1").listing.cameras) == ["cam1"]
    assert numbers(s3_footage.collator().collate(pinned("job-1"), Work())) == list(range(30))
    assert numbers(s3_footage.collator().collate(pinned("job-2"), Work())) == list(range(60))
