"""`throughline eval mot` on two people of whom the detector lost one for a while."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from throughline.cli.main import app

FRAMES = 90
HIDDEN = range(40, 52)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    sequence = tmp_path / "gt" / "walk"
    (sequence / "gt").mkdir(parents=True)
    info = f"[Sequence]\nname=walk\nframeRate=25\nseqLength={FRAMES}\nimWidth=1920\nimHeight=1080\n"
    (sequence / "seqinfo.ini").write_text(info)
    everyone = [
        (frame, who, 100 + 900 * who + 2 * frame, 300, 60, 180) for frame in range(1, FRAMES + 1) for who in (0, 1)
    ]
    truth = [f"{frame},{who + 1},{x},{y},{w},{h},1,1,1" for frame, who, x, y, w, h in everyone]
    (sequence / "gt" / "gt.txt").write_text("\n".join(truth))
    found = [
        f"{frame},-1,{x},{y},{w},{h},0.9,-1,-1,-1"
        for frame, who, x, y, w, h in everyone
        if who == 0 or frame not in HIDDEN
    ]
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "walk.txt").write_text("\n".join(found))
    return tmp_path


def run(data: Path, *more: str) -> Result:
    return CliRunner().invoke(
        app, ["eval", "mot", "--truth", str(data / "gt"), "--detections", str(data / "found"), *more]
    )


def test_refined_tracks_fill_what_the_detector_missed(data: Path) -> None:
    result = run(data, "--json", "--out", str(data / "tracks"))
    assert result.exit_code == 0, result.output
    figures = json.loads(result.output)
    assert figures["all"]["refined"]["HOTA"] > 99
    assert figures["walk"]["plain"]["HOTA"] < 98
    rows = np.loadtxt(data / "tracks" / "refined" / "walk.txt", delimiter=",")
    assert len(rows) == 2 * FRAMES
    assert set(rows[rows[:, 6] == 0, 0]) == set(HIDDEN)


def test_a_table_shows_every_sequence_and_all(data: Path) -> None:
    result = run(data)
    assert result.exit_code == 0, result.output
    assert [result.output.count(word) for word in ("walk", "all", "plain", "refined")] == [2, 2, 2, 2]


def test_a_sequence_in_which_nobody_is_tracked_is_named(data: Path) -> None:
    (data / "found" / "walk.txt").write_text("")
    result = run(data, "--json")
    assert result.exit_code == 1
    assert "nobody was tracked in walk" in result.output


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("gt/walk/seqinfo.ini", None, "seqinfo.ini"),
        ("gt/walk/gt/gt.txt", None, "gt.txt is missing"),
        ("found/walk.txt", None, "walk.txt is missing"),
        ("found/walk.txt", "1,-1,2,3\n", "not of MOT's detections"),
        ("found/walk.txt", "1,-1,a,3,4,5,0.5\n", "not of MOT's detections"),
        ("found/walk.txt", "900,-1,2,3,4,5,0.5\n", "frames must be 1 to 90"),
        ("found/walk.txt", "1,-1,nan,3,4,5,0.5\n", "finite"),
        ("gt/walk/seqinfo.ini", "[Sequence]\nframeRate=0\nseqLength=9\nimWidth=1\nimHeight=1\n", "must be positive"),
        ("gt/walk/seqinfo.ini", "[Other]\n", "needs [Sequence]"),
        ("gt/walk/gt/gt.txt", "not,a,truth\n", "gt.txt"),
    ],
)
def test_wrong_files_are_named(data: Path, file: str, content: str | None, said: str) -> None:
    if content is None:
        (data / file).unlink()
    else:
        (data / file).write_text(content)
    result = run(data)
    assert result.exit_code == 1
    assert said in result.output


def test_wrong_folders_are_named(data: Path) -> None:
    assert (
        "is no folder"
        in CliRunner().invoke(app, ["eval", "mot", "--truth", str(data / "none"), "--detections", str(data)]).output
    )
