"""The way to TensorRT, as far as it goes without a GPU: what trtexec is asked for, and what INT8 does to a model."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from tests.models.weights import CLASSES, picture, tiny_detector
from throughline.domain.errors import FailedPrecondition, InvalidInput
from throughline.models.build import build_detector
from throughline.models.plan import build_plan
from throughline.models.quantise import quantised
from throughline.models.runtime import run_onnx
from throughline.models.trials import calibration_pictures

RED, BLUE = (250, 0, 0), (0, 0, 250)
_TRTEXEC = """#!/usr/bin/env python3
import json, pathlib, shutil, sys
options = dict(each.removeprefix("--").partition("=")[::2] for each in sys.argv[1:])
pathlib.Path(__file__).with_name("asked.json").write_text(json.dumps(options))
if pathlib.Path(__file__).with_name("fails").exists():
    sys.exit("no GPU is there")
shutil.copyfile(options["onnx"], options["saveEngine"])
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    build_detector(tiny_detector(folder / "tiny.onnx"), folder, class_names=CLASSES, max_boxes=10)
    return folder / "detector"


@pytest.fixture
def trtexec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in that keeps what it was asked for, and copies the graph where the plan would go."""
    program = tmp_path / "bin" / "trtexec"
    program.parent.mkdir()
    program.write_text(_TRTEXEC)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program.parent


def _frames(folder: Path) -> Path:
    folder.mkdir()
    for number, colour in enumerate((RED, BLUE, RED)):
        cv2.imwrite(str(folder / f"{number}.png"), picture(colour, 2 + number, 3)[..., ::-1])
    return folder


def test_a_plan_is_asked_for_in_fp16_with_batches_of_1_to_32(model: Path, trtexec: Path) -> None:
    assert build_plan(model) == model.absolute() / "1" / "model.plan"
    asked = json.loads((trtexec / "asked.json").read_text())
    assert asked["minShapes"] == "images:1x64x64x3"
    assert asked["optShapes"] == "images:8x64x64x3"
    assert asked["maxShapes"] == "images:32x64x64x3"
    assert "fp16" in asked
    assert "int8" not in asked
    assert asked["onnx"] == str(model.absolute() / "1" / "model.onnx")


def test_int8_finds_the_same_people_and_carries_its_scales(model: Path, trtexec: Path, tmp_path: Path) -> None:
    card = build_detector(tiny_detector(tmp_path / "tiny.onnx"), tmp_path, class_names=CLASSES, max_boxes=10)
    pictures = calibration_pictures(_frames(tmp_path / "frames"), card)
    plan = build_plan(tmp_path / "detector", pictures)
    assert "int8" in json.loads((trtexec / "asked.json").read_text())
    int8 = onnx.load(str(plan))
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in int8.graph.node}
    (found,) = run_onnx(int8, [pictures])
    assert found["count"].ravel().tolist() == [1, 1, 1]
    assert found["classes"][:, 0].tolist() == [0, 1, 0]
    np.testing.assert_allclose(found["boxes"][0, 0], [8, 4, 32, 52], atol=0.5)


def test_what_trtexec_says_is_passed_on_and_no_plan_is_left(model: Path, trtexec: Path) -> None:
    (trtexec / "fails").touch()
    with pytest.raises(FailedPrecondition, match="no GPU is there"):
        build_plan(model)
    assert not list((model / "1").glob(".*"))


def test_int8_needs_pictures_and_convolutions(tmp_path: Path, model: Path) -> None:
    card = build_detector(tiny_detector(tmp_path / "tiny.onnx"), tmp_path, class_names=CLASSES, max_boxes=10)
    with pytest.raises(InvalidInput, match="no pictures below"):
        calibration_pictures(tmp_path / "none", card)
    bare = onnx.load(str(model / "1" / "model.onnx"))
    kept = [node for node in bare.graph.node if node.op_type != "Conv"]
    del bare.graph.node[:]
    bare.graph.node.extend(kept)
    with pytest.raises(InvalidInput, match="no convolutions"):
        quantised(bare, np.zeros((1, 64, 64, 3), np.uint8))
