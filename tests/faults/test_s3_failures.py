"""S3 fails for a while, in every way that networks have: what comes of it equals what comes undisturbed."""

from __future__ import annotations

import random
import threading
import time
import uuid
from pathlib import Path

import pytest

from tests.faults.proxy import Fault, Faults, FaultyS3, Request
from tests.ingest.footage import S3Footage
from tests.media.clips import Clip, steady
from throughline.domain.errors import Cancelled
from throughline.domain.footage import Reel
from throughline.domain.work import Step, Work
from throughline.storage.objects import open_objects
from throughline.storage.workspace import Workspace

CHUNKS = 6


def filled(footage: S3Footage) -> None:
    for index in range(CHUNKS):
        footage.clip(f"cam1/20260301_1000{2 * index:02d}.mp4", Clip(steady(30), first_number=30 * index, crf=1))


def outcome(footage: S3Footage, work: Work | None = None) -> tuple[Reel, bytes]:
    """A reel and its content, made anew."""
    uri = f"file://{footage.folder}/workspace-{uuid.uuid4().hex}/"
    footage.workspace = Workspace(uri, footage.objects, footage.settings.cache_dir)
    made = footage.collate("cam1", work=work)
    return made.reel, made.artifact.path("part-000.mp4").read_bytes()


def half_fail(request: Request) -> Fault | None:
    chance = random.Random(request.number)  # noqa: S311 - the same in every run
    if chance.random() < 0.5:
        return Fault(*chance.choice([(500, "InternalError"), (503, "SlowDown"), (503, "ServiceUnavailable")]))
    return None


def cut_anywhere(request: Request) -> Fault | None:
    chance = random.Random(request.number)  # noqa: S311 - the same in every run
    return Fault(cut_after=chance.randrange(-1, 4_000)) if chance.random() < 0.5 else None


def stall_first_bodies(request: Request) -> Fault | None:
    return (
        Fault(stall_after=500) if request.method == "GET" and ".mp4" in request.key and not request.is_ranged else None
    )


def lie_about_lengths(request: Request) -> Fault | None:
    if request.method == "GET" and ".mp4" in request.key and request.number % 2:
        return Fault(length_error=-100 if request.number % 4 == 1 else 100)
    return None


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(half_fail, id="half of the requests fail"),
        pytest.param(cut_anywhere, id="connections cut at random bytes"),
        pytest.param(stall_first_bodies, id="stalls in the middle of bodies"),
        pytest.param(lie_about_lengths, id="wrong lengths"),
        pytest.param(lambda _: Fault(block_bytes=1_000), id="dribbles"),
    ],
)
def test_a_reel_made_from_a_failing_s3_equals_the_undisturbed_one(
    s3: FaultyS3, s3_footage: S3Footage, faults: Faults
) -> None:
    filled(s3_footage)
    expected = outcome(s3_footage)
    s3.faults = faults
    assert outcome(s3_footage) == expected


@pytest.mark.parametrize("faults", [half_fail, cut_anywhere], ids=["half of the requests fail", "cut connections"])
def test_artifacts_go_to_a_failing_s3_and_come_back_whole(
    s3: FaultyS3, s3_footage: S3Footage, bucket: str, tmp_path: Path, faults: Faults
) -> None:
    content = {f"file-{number}": random.Random(number).randbytes(20_000) for number in range(5)}  # noqa: S311
    uri = f"s3://{bucket}/workspace/"
    s3.faults = faults
    with Workspace(uri, s3_footage.objects, tmp_path / "one").create("reels/0123") as folder:
        for name, data in content.items():
            (folder / name).write_bytes(data)
    elsewhere = Workspace(uri, s3_footage.objects, tmp_path / "other").get("reels/0123")
    assert {name: elsewhere.path(name).read_bytes() for name in elsewhere.names()} == content


def test_a_small_object_whose_body_breaks_off_is_read_again(s3: FaultyS3, s3_footage: S3Footage, bucket: str) -> None:
    content = random.Random(1).randbytes(1000)  # noqa: S311
    s3_footage.objects.write(f"s3://{bucket}/a", content)
    before = len(s3.requests)
    s3.faults = lambda request: Fault(cut_after=600) if request.number == before + 1 else None
    assert s3_footage.objects.read(f"s3://{bucket}/a") == content
    assert len(s3.requests) == before + 2


def test_an_outage_in_the_middle_is_waited_out(s3: FaultyS3, s3_footage: S3Footage) -> None:
    filled(s3_footage)
    expected = outcome(s3_footage)
    back = threading.Timer(3.0, s3.begin_listening)

    def fall_silent(step: Step) -> None:
        if step == Step(2, CHUNKS, "chunks looked at") and not back.is_alive():
            s3.stop_listening()
            back.start()

    assert outcome(s3_footage, Work(on_step=fall_silent)) == expected
    assert back.finished.is_set()


@pytest.mark.parametrize(
    ("method", "after"),
    [
        pytest.param("HEAD", -1, id="looking chunks up"),
        pytest.param("GET", -1, id="before the headers of a chunk"),
        pytest.param("GET", 700, id="within a chunk"),
    ],
)
def test_cancelling_during_a_stall_ends_at_once_and_leaves_nothing(
    s3: FaultyS3, s3_footage: S3Footage, method: str, after: int
) -> None:
    filled(s3_footage)
    s3_footage.objects = open_objects(s3_footage.settings.model_copy(update={"s3_timeout_seconds": 120.0}))
    reached, work, ends = threading.Event(), Work(), list[BaseException]()

    def stall(request: Request) -> Fault | None:
        if request.method != method or ".mp4" not in request.key:
            return None
        reached.set()
        return Fault(stall_after=after)

    def collate() -> None:
        try:
            outcome(s3_footage, work)
        except Cancelled as error:
            ends.append(error)

    s3.faults = stall
    thread = threading.Thread(target=collate)
    thread.start()
    assert reached.wait(60)
    began = time.monotonic()
    work.cancel()
    thread.join(60)
    assert ends
    assert time.monotonic() - began < 20, "far below the time that S3 may be silent"
    assert not [path for path in s3_footage.settings.cache_dir.rglob("*") if path.is_file()]
