"""Files that change together, broken off at every step."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from throughline.tracker.identities.publish import finish_publishing, published

REPLACED = ("galleries",)


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def fill(folder: Path, word: str) -> None:
    (folder / "galleries" / word).mkdir(parents=True)
    (folder / "galleries" / word / "a.jpg").write_text(word)
    (folder / "map.csv").write_text(word)
    (folder / "video").mkdir(exist_ok=True)
    (folder / "video" / "tracks.csv").write_text(word)


def content(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_text() for path in files}


def expected(word: str) -> dict[str, str]:
    return {f"galleries/{word}/a.jpg": word, "map.csv": word, "video/tracks.csv": word}


def link_galleries(root: Path) -> None:
    (root / "galleries").rename(root / ".elsewhere")
    (root / "galleries").symlink_to(".elsewhere")


@pytest.mark.parametrize("is_linked", [False, True])
@pytest.mark.parametrize("step", range(9))
def test_a_kill_at_any_step_leaves_the_former_files_or_the_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, is_linked: bool
) -> None:
    fill(tmp_path, "old")
    if is_linked:
        link_galleries(tmp_path)
    left = step

    def counting(work: Any) -> Any:
        def step_or_die(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return work(*arguments, **named)

        return step_or_die

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", counting(Path.rename))
        patched.setattr(Path, "replace", counting(Path.replace))
        patched.setattr(shutil, "rmtree", counting(shutil.rmtree))
        patched.setattr(shutil, "copytree", counting(shutil.copytree))
        with contextlib.suppress(Killed), published(tmp_path, REPLACED) as stage:
            fill(stage, "new")
    finish_publishing(tmp_path, REPLACED)
    for partial in tmp_path.glob(".identities.*.partial"):
        shutil.rmtree(partial)
    word = "old" if step == 0 else "new"
    if is_linked:
        assert (tmp_path / "galleries").is_symlink()
        (tmp_path / "galleries").unlink()
        (tmp_path / ".elsewhere").rename(tmp_path / "galleries")
    assert content(tmp_path) == expected(word)


def test_an_error_changes_nothing(tmp_path: Path) -> None:
    fill(tmp_path, "old")
    with pytest.raises(FileNotFoundError), published(tmp_path, REPLACED) as stage:
        (stage / "none" / "file").write_text("new")
    assert content(tmp_path) == expected("old")


def test_files_of_a_folder_that_is_gone_meanwhile_are_left_out(tmp_path: Path) -> None:
    with published(tmp_path, REPLACED) as stage:
        fill(stage, "new")
    assert content(tmp_path) == {"galleries/new/a.jpg": "new", "map.csv": "new"}
