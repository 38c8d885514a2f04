from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.faults.disk import MEGABYTE, mounted
from tests.storage.places import Workshop
from throughline.domain.errors import CorruptArtifact, InvalidInput, NotFound, StorageFull
from throughline.storage.manifest import MANIFEST
from throughline.storage.workspace import Artifact, Workspace


def _publish(workspace: Workspace, folder: str, **files: str) -> Artifact:
    with workspace.create(folder) as stage:
        for name, content in files.items():
            (stage / name).write_text(content)
    return workspace.get(folder)


def _contents(artifact: Artifact) -> dict[str, str]:
    """All files, after a check that each is what the manifest says."""
    found = {name: artifact.path(name).read_bytes() for name in artifact.names()}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in found.items()} == {
        name: file.sha256 for name, file in artifact.manifest.files.items()
    }
    return {name: data.decode() for name, data in found.items()}


def _maker(workshop: Workshop, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.storage.maker", *workshop.arguments, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _elsewhere(workshop: Workshop, tmp_path: Path) -> Workspace:
    """The same workspace as a machine sees it that has nothing in its cache."""
    return Workspace(workshop.place.uri, workshop.place.objects, tmp_path / "another cache")


def _leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.endswith(".partial")]


def test_an_artifact_is_there_when_its_maker_is_done_and_not_before(workshop: Workshop, tmp_path: Path) -> None:
    workspace = workshop.workspace
    with workspace.create("reels/k") as stage:
        (stage / "crops").mkdir()
        (stage / "crops" / "1.jpg").write_text("one")
        (stage / "a b ü.mp4").write_text("film")
        assert workspace.find("reels/k") is None
    artifact = workspace.get("reels/k")
    assert (artifact.uri, artifact.key) == (f"{workshop.place.uri}/reels/k/", "k")
    assert artifact.names() == ["a b ü.mp4", "crops/1.jpg"]
    assert artifact.uri_of("crops/1.jpg") == f"{artifact.uri}crops/1.jpg"
    assert _contents(artifact) == {"a b ü.mp4": "film", "crops/1.jpg": "one"}
    assert _contents(_elsewhere(workshop, tmp_path).get(artifact.uri)) == _contents(artifact)
    assert _leftovers(tmp_path) == []


def test_an_artifact_may_be_empty(workshop: Workshop) -> None:
    assert _publish(workshop.workspace, "reels/k").names() == []


def test_an_artifact_whose_maker_fails_is_discarded(workshop: Workshop, tmp_path: Path) -> None:
    def fail() -> None:
        with workshop.workspace.create("reels/k") as stage:
            (stage / "half").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert workshop.workspace.find("reels/k") is None
    assert list(workshop.place.objects.list(workshop.place.uri)) == []
    assert _leftovers(tmp_path) == []


def test_what_is_published_stays_when_it_is_made_again(workshop: Workshop) -> None:
    first = _publish(workshop.workspace, "reels/k", a="first", b="first")
    assert _publish(workshop.workspace, "reels/k", a="second") == first
    assert _contents(first) == {"a": "first", "b": "first"}


def test_asking_for_what_is_not_there_says_what_to_do(workshop: Workshop) -> None:
    artifact = _publish(workshop.workspace, "reels/k", a="x")
    with pytest.raises(NotFound, match="run the stage"):
        workshop.workspace.get("reels/other")
    with pytest.raises(NotFound, match="'b'; it has a"):
        artifact.path("b")


@pytest.mark.parametrize(
    "folder", ["", "..", "reels/../x", "reels//k", "/reels/k", "reels/.k", "reels/k\0", "file:///etc", "s3://b/x"]
)
def test_what_is_no_folder_of_the_workspace_is_refused(folder: str, workshop: Workshop) -> None:
    with pytest.raises(InvalidInput):
        workshop.workspace.get(folder)


def test_a_file_that_changed_after_it_was_published_is_found_out(workshop: Workshop, tmp_path: Path) -> None:
    artifact = _publish(workshop.workspace, "reels/k", a="as published")
    workshop.place.objects.write(artifact.uri_of("a"), b"cut")
    elsewhere = _elsewhere(workshop, tmp_path).get("reels/k")
    for _ in range(2):
        with pytest.raises(CorruptArtifact, match=r"remove .*reels/k/ and run again"):
            elsewhere.path("a")


def test_a_manifest_that_is_none_is_found_out(workshop: Workshop) -> None:
    artifact = _publish(workshop.workspace, "reels/k", a="x")
    workshop.place.objects.write(artifact.uri + MANIFEST, b'{"files": 3}')
    with pytest.raises(CorruptArtifact):
        workshop.workspace.find("reels/k")


def test_of_two_processes_that_make_the_same_artifact_the_first_to_publish_wins(
    workshop: Workshop, tmp_path: Path
) -> None:
    makers = [_maker(workshop, "tracks/k", content, "5", "wait") for content in "xy"]
    assert [_line(maker) for maker in makers] == ["filled", "filled"]
    for maker in makers:
        maker.communicate("go\n", timeout=30)
    assert [maker.returncode for maker in makers] == [0, 0]
    for workspace in (workshop.workspace, _elsewhere(workshop, tmp_path)):
        assert len({content[0] for content in _contents(workspace.get("tracks/k")).values()}) == 1
    assert _leftovers(tmp_path) == []


def test_threads_that_make_the_same_artifact_leave_one_consistent(workshop: Workshop, tmp_path: Path) -> None:
    barrier = threading.Barrier(4)

    def make(content: str) -> None:
        with workshop.workspace.create("tracks/k") as stage:
            for number in range(6):
                (stage / str(number)).write_text(content)
            barrier.wait()

    threads = [threading.Thread(target=make, args=(content,)) for content in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    contents = _contents(_elsewhere(workshop, tmp_path).get("tracks/k"))
    assert len(contents) == 6
    assert len(set(contents.values())) == 1


def test_a_maker_that_is_killed_leaves_no_artifact_and_its_leftovers_go_when_it_is_made_again(
    workshop: Workshop, tmp_path: Path
) -> None:
    maker = _maker(workshop, "tracks/k", "x", "3", "wait")
    assert _line(maker) == "filled"
    maker.kill()
    maker.communicate()
    assert workshop.workspace.find("tracks/k") is None
    assert len(_leftovers(tmp_path)) == 1
    _publish(workshop.workspace, "tracks/k", a="again")
    assert _leftovers(tmp_path) == []


def test_what_another_maker_is_still_filling_is_not_taken_for_a_leftover(workshop: Workshop) -> None:
    maker = _maker(workshop, "tracks/k", "x", "3", "wait")
    assert _line(maker) == "filled"
    with pytest.raises(ZeroDivisionError), workshop.workspace.create("tracks/k"):
        _ = 1 / 0
    maker.communicate("go\n", timeout=30)
    assert len(_contents(workshop.workspace.get("tracks/k"))) == 3


@pytest.mark.parametrize("after_seconds", [0.0, 0.01, 0.05])
def test_a_maker_killed_while_it_publishes_leaves_a_whole_artifact_or_none(
    after_seconds: float, workshop: Workshop, tmp_path: Path
) -> None:
    maker = _maker(workshop, "tracks/k", "x", "60", "wait")
    assert _line(maker) == "filled"
    assert maker.stdin is not None
    maker.stdin.write("go\n")
    maker.stdin.flush()
    time.sleep(after_seconds)  # the moment of death is what is being varied
    maker.kill()
    maker.communicate()
    found = _elsewhere(workshop, tmp_path).find("tracks/k")
    assert found is None or len(_contents(found)) == 60
    again = _publish(workshop.workspace, "tracks/k", **{"000": "other content", "b": "b"})
    assert _contents(again) == (_contents(found) if found else {"000": "other content", "b": "b"})


def test_a_folder_without_a_manifest_is_moved_aside_and_not_deleted(workshop: Workshop, tmp_path: Path) -> None:
    workshop.place.objects.write(f"{workshop.place.uri}/tracks/k/000", b"half of something")
    assert workshop.workspace.find("tracks/k") is None
    artifact = _publish(workshop.workspace, "tracks/k", **{"000": "whole"})
    assert _contents(artifact) == {"000": "whole"}
    kept = [workshop.place.objects.read(info.uri) for info in workshop.place.objects.list(workshop.place.uri)]
    assert b"half of something" in kept


def test_a_cache_without_room_is_named_and_what_it_was_needed_for_works_once_there_is_some(
    workshop: Workshop, tmp_path: Path
) -> None:
    if not workshop.place.is_s3:
        pytest.skip("artifacts on a local disk are made and read in their place")
    with mounted(tmp_path / "small") as disk:
        workspace = Workspace(workshop.place.uri, workshop.place.objects, disk.place)
        words = rf"no room left in {re.escape(str(disk.place))}.*free some there"
        disk.fill()
        with pytest.raises(StorageFull, match=words):
            _publish(workspace, "reels/k", a="one")
        assert workspace.find("reels/k") is None
        disk.free()
        with workspace.create("reels/k") as stage:
            (stage / "a").write_bytes(bytes(MEGABYTE))
        shutil.rmtree(disk.place / next(disk.place.iterdir()))
        disk.fill()
        with pytest.raises(StorageFull, match=words):
            workspace.get("reels/k").path("a")
        disk.free()
        assert workspace.get("reels/k").path("a").read_bytes() == bytes(MEGABYTE)
