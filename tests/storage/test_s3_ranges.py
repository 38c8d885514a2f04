from __future__ import annotations

import hashlib
import io
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.media.clips import Clip, make_clip, steady
from throughline.domain.errors import Cancelled, DependencyUnavailable, SourceChanged
from throughline.domain.geometry import Size
from throughline.media.chunk import write_chunk
from throughline.media.encode import EncoderSettings
from throughline.media.probe import ClipScan, probe
from throughline.storage import s3_ranges
from throughline.storage.object_store import Pin, go_on
from throughline.storage.s3_ranges import OpenRanges
from throughline.storage.s3_transfer import Source

RANGE = 1_000
DATA = random.Random(0).randbytes(25_300)  # noqa: S311


class Bucket:
    """Answers as S3 does, and notes what it was asked for."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []
        self.given = 0
        self.spoil: Callable[[int, bytes], bytes] = lambda _, found: found
        """Changes what the so-manieth answer holds."""

    def __call__(self, asked: Source, begin: int, end: int, check: Callable[[], None]) -> tuple[Source, dict[str, Any]]:
        check()
        self.asked.append((begin, end))
        found = self.spoil(len(self.asked), self.data[begin:end])
        self.given += len(found)
        return asked, {"Body": io.BytesIO(found), "ContentLength": end - begin, "VersionId": "7"}

    def open(self, seconds: float = 5.0, check: Callable[[], None] = go_on) -> OpenRanges:
        return OpenRanges(self, Source("bucket", "key", Pin("etag", len(self.data))), seconds, check)


@pytest.fixture(autouse=True)
def _small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_ranges, "RANGE_BYTES", RANGE)


def test_what_is_read_is_the_object_and_each_byte_is_asked_for_once() -> None:
    bucket = Bucket()
    file = bucket.open()
    found = b"".join(iter(lambda: file.read(777), b""))

    assert found == DATA
    assert file.sha256() == hashlib.sha256(DATA).hexdigest()
    assert sorted(bucket.asked) == [(at, min(at + RANGE, len(DATA))) for at in range(0, len(DATA), RANGE)]
    assert file.version_id == "7"


def test_any_place_can_be_read_and_little_stays_in_memory() -> None:
    file = Bucket().open()
    choose = random.Random(1)  # noqa: S311
    for _ in range(300):
        place, count = choose.randrange(len(DATA) + 100), choose.randrange(1, 2_000)
        assert file.seek(place) == file.tell() == place
        found = file.read(count)
        assert found == DATA[place : place + len(found)]
        assert found or place >= len(DATA)
        assert len(file._blocks) <= 2 * s3_ranges.AHEAD + s3_ranges._BEHIND + 3
    assert file.seek(-5, os.SEEK_END) == len(DATA) - 5
    assert file.sha256() == hashlib.sha256(DATA).hexdigest()


def test_a_film_whose_index_lies_at_its_end_is_read_by_ranges_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_ranges, "RANGE_BYTES", 2**16)
    path, noise = tmp_path / "clip.mp4", np.random.default_rng(0)
    frames = (noise.integers(0, 256, (360, 320), np.uint8) for _ in range(60))
    write_chunk(path, frames, Size(320, 240), 6_000, EncoderSettings(crf=10, preset="ultrafast"))
    data = path.read_bytes()
    assert data.index(b"moov") > data.index(b"mdat") > 0
    bucket = Bucket(data)
    file = bucket.open()
    with ClipScan(file) as scan:
        info = scan.read()

    assert info == probe(path)
    assert file.sha256() == hashlib.sha256(data).hexdigest()
    assert len(bucket.asked) > 30
    assert bucket.given < 1.1 * len(data)


def test_what_breaks_off_is_asked_for_again_from_the_byte_where_it_broke() -> None:
    bucket = Bucket()
    bucket.spoil = lambda number, found: found[:300] if number % 2 else found
    file = bucket.open()

    assert file.sha256() == hashlib.sha256(DATA).hexdigest()
    assert bucket.given == len(DATA)


def test_an_object_of_which_nothing_comes_any_more_is_given_up() -> None:
    bucket = Bucket()
    bucket.spoil = lambda number, found: b"" if number > 2 else found

    with pytest.raises(DependencyUnavailable, match=r"S3 stopped after \d+ of the 25300 bytes of s3://bucket/key"):
        bucket.open(seconds=0.2).sha256()


def test_what_reading_raises_ends_a_scan_and_not_as_a_broken_clip(tmp_path: Path) -> None:
    def change(number: int, found: bytes) -> bytes:
        if number > 6:
            raise SourceChanged("it is another by now")
        return found

    bucket = Bucket(make_clip(tmp_path / "clip.ts", Clip(steady(300), crf=1)).read_bytes())
    bucket.spoil = change
    with pytest.raises(SourceChanged), ClipScan(bucket.open()) as scan:
        scan.read()


def test_who_waits_can_stop_at_once_and_nothing_is_fetched_after_closing() -> None:
    bucket, release = Bucket(), threading.Event()

    def stall(_: int, found: bytes) -> bytes:
        release.wait(60)
        return found

    def stopped() -> None:
        raise Cancelled("stopped")

    bucket.spoil = stall
    file = bucket.open()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        file.prepare(stopped)
    assert time.monotonic() - began < 30
    file.close()
    release.set()
    asked = len(bucket.asked)
    assert asked <= s3_ranges.AHEAD + 1
