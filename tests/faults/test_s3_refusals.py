"""S3 says no: to everything, to one camera, to one object, or that it is somewhere else."""

from __future__ import annotations

import pytest

from tests.faults.proxy import Fault, FaultyS3, Request
from tests.ingest.footage import S3Footage, codes, seen
from tests.media.clips import Clip, steady
from throughline.domain.errors import DependencyUnavailable, FailedPrecondition, InvalidInput, PermissionDenied
from throughline.ingest.listing import list_footage
from throughline.storage.objects import ObjectSettings, open_objects


def with_clips(footage: S3Footage, *names: str) -> None:
    for index, name in enumerate(names):
        footage.clip(name, Clip(steady(30), first_number=30 * index))


THREE = ("cam1/20260301_100000.mp4", "cam1/20260301_100002.mp4", "cam1/20260301_100004.mp4")


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        pytest.param(Fault(403, "AccessDenied"), PermissionDenied, "bucket's policy", id="no permission"),
        pytest.param(Fault(403, "InvalidAccessKeyId"), FailedPrecondition, "renew them", id="bad credentials"),
        pytest.param(Fault(403, "ExpiredToken"), FailedPrecondition, "renew them", id="expired credentials"),
        pytest.param(
            Fault(301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"}),
            InvalidInput,
            "in region eu-west-1; set THROUGHLINE_S3_REGION",
            id="bucket of another region",
        ),
        pytest.param(
            Fault(400, "AuthorizationHeaderMalformed"), InvalidInput, "THROUGHLINE_S3_REGION", id="signed for another"
        ),
        pytest.param(Fault(404, "Gone fishing"), InvalidInput, "does not speak S3's API", id="another web server"),
        pytest.param(Fault(403, "RequestTimeTooSkewed"), DependencyUnavailable, "clock is wrong", id="clock"),
    ],
)
def test_a_listing_that_is_refused_says_why_and_what_next(
    s3: FaultyS3, s3_footage: S3Footage, fault: Fault, error: type[Exception], words: str
) -> None:
    s3.faults = lambda _: fault
    impatient = open_objects(ObjectSettings(s3_endpoint_url=s3.url, s3_patience_seconds=0.2))
    with pytest.raises(error, match=words) as raised:
        list_footage(impatient, s3_footage.uri)
    assert s3_footage.bucket in str(raised.value)


@pytest.mark.parametrize("url", ["nonsense", "http://no-such-host.invalid:9000"])
def test_a_wrong_endpoint_is_named_by_its_setting(url: str) -> None:
    objects = open_objects(ObjectSettings(s3_endpoint_url=url, s3_patience_seconds=0))
    with pytest.raises((InvalidInput, DependencyUnavailable), match="THROUGHLINE_S3_ENDPOINT_URL"):
        objects.head("s3://bucket/key")


@pytest.mark.parametrize(
    ("refused", "fault", "code"),
    [
        pytest.param("HEAD GET", Fault(403, "AccessDenied"), "chunk_denied", id="head and get denied"),
        pytest.param("GET", Fault(403, "AccessDenied"), "chunk_denied", id="get denied, as by a KMS key's policy"),
        pytest.param("GET", Fault(400, "KMS.DisabledException"), "chunk_denied", id="KMS key disabled"),
        pytest.param("GET", Fault(403, "InvalidObjectState"), "chunk_archived", id="Glacier"),
        pytest.param("GET", Fault(404, "NoSuchKey"), "chunk_gone", id="gone between head and get"),
    ],
)
def test_one_object_that_is_refused_is_named_and_its_camera_goes_on(
    s3: FaultyS3, s3_footage: S3Footage, refused: str, fault: Fault, code: str
) -> None:
    with_clips(s3_footage, *THREE)

    def refuse_second(request: Request) -> Fault | None:
        return fault if request.key.endswith(THREE[1]) and request.method in refused.split() else None

    s3.faults = refuse_second
    made = s3_footage.collate("cam1")
    assert [number for _, number in seen(made)] == [*range(30), *range(60, 90)]
    assert codes(made) == [code]
    assert made.reel.incidents[0].subject.endswith(THREE[1])

    s3.faults = lambda _: None
    whole = s3_footage.collate("cam1")
    assert not whole.was_reused, "a reel without the chunk must not stand for one with it"
    assert len(seen(whole)) == 90


def test_an_object_that_says_it_is_archived_is_not_even_asked_for(s3: FaultyS3, s3_footage: S3Footage) -> None:
    with_clips(s3_footage, *THREE[:2])
    archived = s3_footage.client.get_object(Bucket=s3_footage.bucket, Key=f"recordings/{THREE[1]}")["Body"].read()
    s3_footage.client.put_object(
        Bucket=s3_footage.bucket, Key=f"recordings/{THREE[1]}", Body=archived, StorageClass="GLACIER"
    )
    made = s3_footage.collate("cam1")
    assert codes(made) == ["chunk_archived"]
    assert "restore it from the archive" in made.reel.incidents[0].message
    assert s3.count("GET", THREE[1]) == 0


def test_a_camera_that_is_refused_whole_is_told_in_few_incidents(s3: FaultyS3, s3_footage: S3Footage) -> None:
    clip = s3_footage.clip("cam2/20260301_100000.mp4", Clip(steady(2))).read_bytes()
    for minute in range(50):
        s3_footage.put(f"cam1/20260301_10{minute:02d}00.mp4", clip)

    s3.faults = lambda request: Fault(403, "AccessDenied") if "/cam1/" in request.key else None
    made = s3_footage.collate("cam1")

    assert made.reel.parts == ()
    assert len(made.reel.chunks) == 50
    assert codes(made) == ["chunk_denied"] * 11
    assert "40 more of the kind chunk_denied" in made.reel.incidents[-1].message
    assert codes(s3_footage.collate("cam2")) == []


def test_credentials_that_run_out_during_a_job_do_not_pass_for_refused_chunks(
    s3: FaultyS3, s3_footage: S3Footage
) -> None:
    with_clips(s3_footage, *THREE)
    listing_requests = 2
    s3.faults = lambda request: Fault(403, "ExpiredToken") if request.number > listing_requests else None
    with pytest.raises(FailedPrecondition, match="renew them"):
        s3_footage.collate("cam1")
