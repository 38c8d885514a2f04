"""`throughline eval reid`: labelled people, told apart by a served model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.models.weights import CLASSES, tiny_detector, tiny_reid
from throughline.cli.main import app
from throughline.models.build import build_detector, build_reid
from throughline.models.graph import RGB_255

COLOURS = {"ann": (220, 40, 40), "bert": (40, 220, 40), "carl": (40, 40, 220), "dora": (200, 200, 30)}
RANDOM = np.random.default_rng(11)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    build_detector(tiny_detector(tmp_path / "detector.onnx"), tmp_path / "models", class_names=CLASSES)
    build_reid(tiny_reid(tmp_path / "reid.onnx"), tmp_path / "models", normalisation=RGB_255)
    return tmp_path / "models"


def dressed(colour: tuple[int, int, int]) -> np.ndarray:
    """(64, 32, 3) uint8 BGR: somebody in these colours, a little different each time."""
    upper = np.array(colour) + RANDOM.normal(0, 12, 3)
    picture = np.empty((64, 32, 3))
    picture[:32], picture[32:] = upper, upper * 0.5
    return (picture + RANDOM.normal(0, 5, picture.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for person, colour in COLOURS.items():
        (tmp_path / "people" / person).mkdir(parents=True)
        for camera in ("01", "02"):
            for direction in range(1, 7):
                cv2.imwrite(str(tmp_path / "people" / person / f"{camera}_{direction}.png"), dressed(colour))
    return tmp_path / "people"


@pytest.fixture
def tracklets(tmp_path: Path) -> Path:
    """Two videos, in each of which everybody stands in a place of their own."""
    folder = tmp_path / "videos"
    folder.mkdir()
    labels = []
    for video in ("door.avi", "till.avi"):
        writer = cv2.VideoWriter(str(folder / video), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 64))
        for _ in range(8):
            writer.write(np.hstack([*map(dressed, COLOURS.values()), dressed((9, 9, 9))]))
        writer.release()
        for place, person in enumerate([*COLOURS, "?"]):
            box = [32 * place, 0, 32 * place + 32, 64]
            frames = [{"f": frame, "box": box} for frame in range(1, 8, 2)]
            labels.append({"video": video, "tracklet": place, "person": person, "frames": frames})
    (folder / "silver_labels.json").write_text(json.dumps({"tracklets": labels}))
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["eval", "reid", *map(str, arguments)])


def test_single_crops_and_sets_of_pictures_are_ranked(pictures: Path, repository: Path) -> None:
    result = run(pictures, "--models", repository, "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.output)
    assert figures["single crops"] == {"rank-1": 1.0, "mAP": pytest.approx(1.0), "queries": 48}
    for size in (2, 4, 6):
        for kind in ("mean of the crops", "likeness"):
            assert figures[f"sets of {size}: {kind}"] == {"rank-1": 1.0, "mAP": 1.0, "queries": 8}
    assert run(pictures, "--models", repository, "--json").output == result.output, "draws are seeded"


def test_tracklets_are_cut_from_their_videos(tracklets: Path, repository: Path) -> None:
    result = run(tracklets, "--models", repository)
    assert result.exit_code == 0, result.output
    assert [result.output.count(words) for words in ("six even", "6 even crops", "re-ranked")] == [0, 1, 1]
    assert result.output.count("1.000") >= 6


def test_folders_without_labels_are_named(tmp_path: Path, tracklets: Path) -> None:
    assert "is no folder" in run(tmp_path / "none").output
    (tmp_path / "empty").mkdir()
    assert "holds neither silver_labels.json nor pictures" in run(tmp_path / "empty").output
    (tracklets / "till.avi").unlink()
    assert "ends before frame 0" in run(tracklets).output
    (tracklets / "silver_labels.json").write_text('{"tracklets": [{}]}')
    assert "cannot be read as labelled tracklets" in run(tracklets).output


@pytest.mark.skipif("THROUGHLINE_REALDATA" not in os.environ, reason="needs the real weights")
def test_a_backbone_of_another_dimension_is_served_by_its_card_alone(pictures: Path, repository: Path) -> None:
    weights = Path(os.environ["THROUGHLINE_REALDATA"], "weights", "person-reid-0267.onnx")
    card = build_reid(weights, repository, normalisation=RGB_255)
    assert (card.embedding_dim, card.input_width, card.input_height) == (256, 128, 256)
    figures = json.loads(run(pictures, "--models", repository, "--json").output)
    assert figures["sets of 4: likeness"]["mAP"] > 0.9
