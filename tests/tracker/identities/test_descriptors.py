"""Kept descriptors: read as they were written, and called corrupt however they are broken."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.domain.errors import CorruptArtifact
from throughline.tracker.identities.descriptors import Described, made_of, read_described, read_thumbs, write_described

KEPT = Described(
    "digest",
    np.array([1, 1, 4], np.int64),
    np.array([0, 5, 2], np.int64),
    np.array([0.5, 0.75, 0.25], np.float32),
    np.eye(3, 4, dtype=np.float32),
    (b"a", b"bb", b""),
    np.array([7], np.int64),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kept") / "whole.npz"
    write_described(path, KEPT, "float16")
    return path


def test_what_was_written_is_read(whole: Path) -> None:
    found = read_described(whole)
    assert (found.made_of, found.thumbs, found.lost_frames.tolist()) == ("digest", KEPT.thumbs, [7])
    assert found.samples.tolist() == KEPT.samples.tolist()
    assert read_thumbs(whole, {1, 4}) == {1: [b"bb", b"a"]}
    assert read_thumbs(whole, {4}) == {}
    assert made_of(whole) == "digest"
    assert made_of(whole.with_name("none.npz")) == ""


@settings(max_examples=60)
@given(data=st.data())
def test_a_broken_file_is_called_corrupt_or_read_as_it_was(whole: Path, data: st.DataObject) -> None:
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    broken = whole.with_name("broken.npz")
    broken.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        assert made_of(broken) == "digest"
        assert read_described(broken).samples.tolist() == KEPT.samples.tolist()
    except CorruptArtifact as error:
        assert "broken.npz" in str(error)  # noqa: PT017 - either is right


def as_other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("made_of.npy", "no array")


def as_one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def as_unknown_compression(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b"PK\x03\x04\x14\x00\x00\x00\x00\x00", b"PK\x03\x04\x14\x00\x00\x00\x63\x00"))
    at = content.index(b"PK\x01\x02") + 10
    path.write_bytes(content[:at] + b"\x63" + content[at + 1 :])


def as_encrypted(path: Path) -> None:
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02") + 8
    content = content[:at] + b"\x01" + content[at + 1 :]
    path.write_bytes(content[:6] + b"\x01" + content[7:])


def with_pickles(path: Path) -> None:
    np.savez(path, made_of=np.array({"a": 1}, object))


def with_other_types(path: Path) -> None:
    np.savez(path, made_of=np.array([1.0]))


HARMS = [as_other_zip, as_one_array, as_unknown_compression, as_encrypted, with_pickles, with_other_types]


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_no_archive_of_descriptors_is_called_corrupt(whole: Path, tmp_path: Path, harm: object) -> None:
    path = tmp_path / "odd.npz"
    path.write_bytes(whole.read_bytes())
    harm(path)  # type: ignore[operator]
    with pytest.raises(CorruptArtifact, match=r"odd\.npz"):
        made_of(path)
    with pytest.raises(CorruptArtifact, match=r"odd\.npz"):
        read_described(path)


def test_pictures_that_are_not_those_of_the_crops_are_called_corrupt(whole: Path, tmp_path: Path) -> None:
    with np.load(whole) as arrays:
        content = dict(arrays)
    for ends in ([1, 3, 99], [3, 1, 3], [1, 3]):
        path = tmp_path / "odd.npz"
        np.savez(path, **content | {"thumb_ends": np.array(ends, np.int64)})
        with pytest.raises(CorruptArtifact, match="its pictures are not"):
            read_described(path)
