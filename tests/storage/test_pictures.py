"""Pictures in one file, read one by one, on the local disk and in S3."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.storage.places import Workshop
from throughline.domain.errors import CorruptArtifact, NotFound
from throughline.storage.manifest import Manifest
from throughline.storage.pictures import PICTURES_FILE, PictureWriter, StoredPicture
from throughline.storage.workspace import Artifact, Workspace

ANNA, BERT = (b"\xff\xd8%s\xff\xd9" % name for name in (b"Anna", b"Bert, who is taller"))


def _published(workshop: Workshop, *jpegs: bytes) -> tuple[Artifact, list[str]]:
    with workshop.workspace.create("tracks/k") as stage:
        with PictureWriter(stage) as pictures:
            names = [pictures.add(jpeg) for jpeg in jpegs]
        (stage / "crops").mkdir()
        (stage / "crops" / "000001-7.jpg").write_bytes(ANNA)
    return workshop.workspace.get("tracks/k"), names


def test_each_picture_is_read_by_its_name_and_no_other_with_it(workshop: Workshop, tmp_path: Path) -> None:
    artifact, names = _published(workshop, ANNA, BERT, ANNA)
    assert len(set(names)) == 3
    elsewhere = Workspace(workshop.place.uri, workshop.place.objects, tmp_path / "another cache").get("tracks/k")
    for each in (artifact, elsewhere):
        assert [StoredPicture(each, name).read() for name in names] == [ANNA, BERT, ANNA]
    assert not list((tmp_path / "another cache").rglob(PICTURES_FILE)), "nothing is fetched whole"


def test_a_picture_that_is_a_file_of_its_own_is_read_too(workshop: Workshop) -> None:
    artifact, _ = _published(workshop)
    assert StoredPicture(artifact, "crops/000001-7.jpg").read() == ANNA


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (f"{PICTURES_FILE}#1+7", "is no JPEG"),
        (f"{PICTURES_FILE}#8+24", "has 31 bytes, not 24 from 8 on"),
        (f"{PICTURES_FILE}#40+1", "has 31 bytes, not 1 from 40 on"),
        (f"{PICTURES_FILE}#0+0", "has 31 bytes, not 0 from 0 on"),
    ],
)
def test_what_is_no_picture_is_told(workshop: Workshop, name: str, problem: str) -> None:
    artifact, _ = _published(workshop, ANNA, BERT)
    with pytest.raises(CorruptArtifact, match=problem):
        StoredPicture(artifact, name).read()


@pytest.mark.parametrize("name", ["others.mjpeg#0+4", "crops/000002-7.jpg", f"{PICTURES_FILE}#0"])
def test_a_picture_of_a_file_that_is_not_there_is_not_found(workshop: Workshop, name: str) -> None:
    artifact, _ = _published(workshop, ANNA)
    with pytest.raises(NotFound):
        StoredPicture(artifact, name).read()


@pytest.mark.parametrize("left", [ANNA, ANNA + BERT[:5], b""])
def test_a_file_that_was_cut_short_is_told(tmp_path: Path, workshop: Workshop, left: bytes) -> None:
    artifact, names = _published(workshop, ANNA, BERT)
    workshop.place.objects.write(artifact.uri_of(PICTURES_FILE), left)
    elsewhere = Workspace(workshop.place.uri, workshop.place.objects, tmp_path / "another cache").get("tracks/k")
    if left:
        assert StoredPicture(elsewhere, names[0]).read() == ANNA
    with pytest.raises(CorruptArtifact, match=r"remove .*tracks/k/ and run again"):
        StoredPicture(elsewhere, names[1]).read()


def test_a_file_that_is_gone_is_told(tmp_path: Path, workshop: Workshop) -> None:
    artifact, names = _published(workshop, ANNA)
    uri = artifact.uri_of(PICTURES_FILE)
    other = artifact.manifest.files[PICTURES_FILE]
    lost = Manifest({PICTURES_FILE: replace(other, stored_as="elsewhere.mjpeg")})
    gone = replace(artifact, manifest=lost)
    assert gone.uri_of(PICTURES_FILE) != uri
    with pytest.raises(CorruptArtifact, match="is gone or cut short though its manifest names it"):
        StoredPicture(replace(gone, _cache=tmp_path / "another cache"), names[0]).read()
