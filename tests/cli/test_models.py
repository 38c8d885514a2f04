"""`throughline models` on tiny weights."""

from __future__ import annotations

import csv
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.models.weights import tiny_detector, tiny_reid
from throughline.cli.main import app
from throughline.domain.tracks import TrackEmbeddings
from throughline.perception.triton.card import ModelCard
from throughline.storage.tables import write_embeddings

PEOPLE, CAMERAS, SIZE = 12, ("north", "south"), 6


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both models, built by the command."""
    folder = tmp_path_factory.mktemp("models")
    weights = [tiny_detector(folder / "d.onnx"), tiny_reid(folder / "r.onnx")]
    names = ["--class-name", "person", "--class-name", "trolley"]
    options: list[str | Path] = [
        "--repository",
        folder / "built",
        "--licence",
        "Apache-2.0",
        "--reid-input",
        "rgb-255",
        *names,
    ]
    result = _run("build", "--target", "cpu", "--detector", weights[0], "--reid", weights[1], *options)
    assert result.exit_code == 0, result.output
    return folder / "built"


def _labelled_tracks(folder: Path) -> tuple[Path, list[str]]:
    """A tracks artifact's embeddings per camera, one track a person, and their labels as CSV."""
    rng = np.random.default_rng(5)
    people = rng.normal(size=(PEOPLE, SIZE))
    rows, options = [], []
    for camera in CAMERAS:
        vectors = people + rng.normal(scale=0.3, size=people.shape)
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        ids = np.arange(1, PEOPLE + 1)
        (folder / camera).mkdir()
        embeddings = TrackEmbeddings(
            vectors, ids, ids, np.ones(PEOPLE, np.float32), np.ones(PEOPLE, bool), ("crop.jpg",) * PEOPLE
        )
        write_embeddings(folder / camera, embeddings)
        rows += [(camera, number, f"person {number}") for number in ids.tolist()]
        options += ["--tracks", f"{camera}={folder / camera}"]
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("camera", "track_id", "identity"), *rows])
    return folder / "labels.csv", options


def test_built_models_are_listed_and_their_files_checked(repository: Path) -> None:
    shown = _run("list", "--repository", repository)
    assert shown.exit_code == 0
    for words in ("detector", "person, trolley", "reid", "6 values", "Apache-2.0"):
        assert words in shown.stdout
    (repository / "reid" / "1" / "model.onnx").write_bytes(b"something else")
    broken = _run("list", "--repository", repository)
    assert broken.exit_code == 1
    assert "no longer holds what its card describes" in broken.stderr


def test_a_calibration_is_made_from_labelled_tracks(repository: Path, tmp_path: Path) -> None:
    labels, tracks = _labelled_tracks(tmp_path)
    result = _run("calibrate", labels, *tracks, "--repository", repository, "--fitted-on", "two cameras")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{PEOPLE} pairs of the same person, {PEOPLE * (PEOPLE - 1)} of different people\n"
    calibration = ModelCard.read(repository / "reid").calibration
    assert calibration is not None
    assert calibration.fitted_on == "two cameras"


def test_nothing_to_build_and_labels_that_fit_no_track_are_refused(repository: Path, tmp_path: Path) -> None:
    assert _run("build").exit_code == 2
    labels, tracks = _labelled_tracks(tmp_path)
    labels.write_text("camera,track_id,identity\nelsewhere,1,ann\n")
    unlabelled = _run("calibrate", labels, *tracks, "--repository", repository)
    assert (unlabelled.exit_code, "is labelled in" in unlabelled.stderr) == (1, True)
    (tmp_path / CAMERAS[0] / "clear.npy").unlink()
    assert "track again" in _run("calibrate", labels, *tracks, "--repository", repository).stderr
    labels.write_text("name\n1\n")
    assert "columns camera, track_id and identity" in _run("calibrate", labels, *tracks).stderr


def test_weights_are_fetched_from_a_mirror_and_their_licence_is_known_to_the_build(tmp_path: Path) -> None:
    mirror, folder = tmp_path / "mirror", tmp_path / "weights"
    mirror.mkdir()
    tiny_reid(mirror / "yolox_m.onnx")  # the catalogue knows no SHA-256 of this file
    handler = partial(SimpleHTTPRequestHandler, directory=str(mirror))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        result = _run("add", "yolox-m", "--folder", folder, "--base-url", url)
        missing = _run("add", "yolox-l", "--folder", folder, "--base-url", url)
        server.shutdown()
        thread.join()
    assert result.exit_code == 0, result.output
    assert "Apache-2.0" in result.output
    assert "throughline models build --detector" in result.output
    assert missing.exit_code == 1
    built = _run("build", "--reid", folder / "yolox_m.onnx", "--repository", tmp_path / "built")
    assert built.exit_code == 0, built.output
    assert ModelCard.read(tmp_path / "built" / "reid").source.licence == "Apache-2.0"
    assert "osnet-ain-x1.0" in _run("add", "--list").output
