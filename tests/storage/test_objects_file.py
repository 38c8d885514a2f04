from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from throughline.domain.errors import InvalidInput, NotFound, PermissionDenied
from throughline.storage.objects import ObjectSettings, ObjectStore, file_uri, open_objects


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "cam").mkdir(parents=True)
    (root / "cam" / "a.mp4").write_bytes(b"a")
    (tmp_path / "root-but-not").mkdir()
    (tmp_path / "root-but-not" / "secret").write_bytes(b"secret")
    return root


@pytest.fixture
def objects(root: Path) -> ObjectStore:
    return open_objects(ObjectSettings(allowed_roots=(root,)))


def test_without_allowed_roots_no_file_can_be_used(root: Path) -> None:
    with pytest.raises(PermissionDenied, match="THROUGHLINE_ALLOWED_ROOTS"):
        open_objects(ObjectSettings()).read(file_uri(root / "cam" / "a.mp4"))


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "{root}/../root-but-not/secret", "{root}-but-not/secret", "{root}/cam/../.."]
)
def test_paths_outside_of_the_roots_are_refused_in_every_way_of_use(
    path: str, root: Path, objects: ObjectStore, tmp_path: Path
) -> None:
    uri = "file://" + path.format(root=root)
    for use in (objects.head, objects.read, objects.exists, objects.folders, objects.local_path):
        with pytest.raises(PermissionDenied):
            use(uri)
    with pytest.raises(PermissionDenied):
        next(objects.list(uri))
    with pytest.raises(PermissionDenied):
        objects.fetch(uri, tmp_path / "out")
    with pytest.raises(PermissionDenied):
        objects.write(uri, b"")
    assert (root.parent / "root-but-not" / "secret").read_bytes() == b"secret"


def test_dots_that_stay_inside_are_followed(root: Path, objects: ObjectStore) -> None:
    assert objects.read(f"file://{root}/cam/../cam/a.mp4") == b"a"


def test_a_link_that_leads_outside_is_refused_and_left_out_of_listings(
    root: Path, objects: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "cam" / "b.mp4").symlink_to(root.parent / "root-but-not" / "secret")
    (root / "out").symlink_to(root.parent / "root-but-not")
    for name in ("cam/b.mp4", "out/secret"):
        with pytest.raises(PermissionDenied):
            objects.read(file_uri(root / name))
    with pytest.raises(PermissionDenied):
        objects.write(file_uri(root / "out" / "new"), b"")
    with caplog.at_level(logging.WARNING):
        assert [info.uri for info in objects.list(file_uri(root))] == [file_uri(root / "cam" / "a.mp4")]
    assert caplog.text.count("outside of the allowed roots") == 2
    assert objects.folders(file_uri(root)) == ("cam",)


def test_a_link_that_stays_inside_is_followed_and_a_circle_ends(root: Path, objects: ObjectStore) -> None:
    (root / "again").symlink_to(root / "cam")
    (root / "cam" / "loop").symlink_to(root)
    (root / "cam" / "self").symlink_to(root / "cam" / "self")
    found = [info.uri.removeprefix(file_uri(root)) for info in objects.list(file_uri(root))]
    assert found == ["/again/a.mp4", "/cam/a.mp4"]


def test_a_root_that_is_itself_a_link_works(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    objects = open_objects(ObjectSettings(allowed_roots=(tmp_path / "alias",)))
    assert objects.read(file_uri(tmp_path / "alias" / "cam" / "a.mp4")) == b"a"


def test_a_name_that_is_not_text_is_left_out_and_logged(
    root: Path, objects: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/cam/\xff.mp4")).write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        assert len(list(objects.list(file_uri(root)))) == 1
    assert "not UTF-8" in caplog.text


def test_sockets_and_pipes_are_no_objects(root: Path, objects: ObjectStore) -> None:
    os.mkfifo(root / "cam" / "pipe")
    assert len(list(objects.list(file_uri(root)))) == 1


def test_a_missing_name_with_percent_signs_is_answered_with_how_names_are_written(
    root: Path, objects: ObjectStore
) -> None:
    with pytest.raises(NotFound, match="without percent-encoding"):
        objects.read(f"file://{root}/cam%20/a.mp4")


@pytest.mark.parametrize("name", ["nul\0", "x" * 256, "x/" * 2500])
def test_names_that_no_file_can_have_are_refused(name: str, root: Path, objects: ObjectStore) -> None:
    with pytest.raises(InvalidInput):
        objects.read(f"file://{root}/{name}")


def test_a_folder_is_not_an_object(root: Path, objects: ObjectStore) -> None:
    with pytest.raises(NotFound, match="is a folder"):
        objects.read(file_uri(root / "cam"))
    assert not objects.exists(file_uri(root / "cam"))
