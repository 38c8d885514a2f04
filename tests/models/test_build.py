from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from tests.models.weights import CLASSES, picture, tiny_detector, tiny_reid
from throughline.domain.errors import CorruptArtifact, FailedPrecondition, InvalidInput, NotFound
from throughline.models import verify
from throughline.models.build import build_detector, build_reid
from throughline.models.detector import DetectorSettings
from throughline.models.graph import BGR_255, IMAGENET, RGB_255, Normalisation
from throughline.models.heads import recognise
from throughline.models.plan import build_plan
from throughline.models.repository import check_digest
from throughline.models.runtime import run_onnx
from throughline.models.weights import Weights
from throughline.perception.triton.card import ModelCard

RED, BLUE = (250, 0, 0), (0, 0, 250)


def _served(repository: Path, name: str) -> onnx.ModelProto:
    return onnx.load(str(repository / name / "1" / "model.onnx"))


@pytest.mark.parametrize("batch", [1, None])
@pytest.mark.parametrize("decoded", [False, True])
def test_a_built_detector_finds_what_its_weights_find(tmp_path: Path, batch: int | None, decoded: bool) -> None:
    weights = tiny_detector(tmp_path / "tiny.onnx", batch=batch, decoded=decoded)
    card = build_detector(weights, tmp_path, class_names=CLASSES, max_boxes=10)
    assert card.build["decoded"] is decoded
    assert card.class_names == CLASSES
    pictures = np.stack([picture(RED, 2, 3), picture(BLUE, 5, 1), np.zeros((64, 64, 3), np.uint8)])
    (found,) = run_onnx(_served(tmp_path, "detector"), [pictures])
    assert found["count"].tolist() == [[1], [1], [0]]
    assert found["classes"][:2, 0].tolist() == [0, 1]
    # Cell (2, 3) has its centre at (20, 28), cell (5, 1) at (44, 12); boxes are 24x48.
    np.testing.assert_allclose(found["boxes"][0, 0], [8, 4, 32, 52], atol=1e-3)
    np.testing.assert_allclose(found["boxes"][1, 0], [32, -12, 56, 36], atol=1e-3)
    assert not found["boxes"][2].any()
    assert not found["scores"][:, 1:].any()


def test_only_kept_classes_are_served_and_counted_anew(tmp_path: Path) -> None:
    weights = tiny_detector(tmp_path / "tiny.onnx")
    card = build_detector(weights, tmp_path, class_names=("shelf", "person"), keep_classes=("person",), max_boxes=5)
    assert card.class_names == ("person",)
    (found,) = run_onnx(_served(tmp_path, "detector"), [np.stack([picture(RED, 2, 3), picture(BLUE, 5, 1)])])
    assert found["count"].ravel().tolist() == [0, 1]
    assert found["classes"][1, 0] == 0


def test_overlapping_boxes_of_one_class_are_suppressed_and_of_two_are_not(tmp_path: Path) -> None:
    build_detector(
        tiny_detector(tmp_path / "tiny.onnx"), tmp_path, class_names=CLASSES, iou_threshold=0.4, max_boxes=10
    )
    twice = picture(RED, 2, 3) | picture((200, 0, 0), 3, 3)  # boxes 8 px apart overlap by half
    (found,) = run_onnx(_served(tmp_path, "detector"), [np.stack([twice, picture(RED, 2, 3) | picture(BLUE, 3, 3)])])
    assert found["count"].ravel().tolist() == [1, 2]
    assert sorted(found["classes"][1, :2].tolist()) == [0, 1]


def test_a_built_reid_model_gives_unit_vectors(tmp_path: Path) -> None:
    card = build_reid(tiny_reid(tmp_path / "tiny.onnx", batch=1), tmp_path, normalisation=RGB_255)
    assert (card.input_width, card.input_height, card.embedding_dim) == (32, 64, 6)
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 32, 3), dtype=np.uint8)
    (given,) = run_onnx(_served(tmp_path, "reid"), [crops])
    halves = crops.reshape(3, 2, 32, 32, 3).mean(axis=(2, 3)).transpose(0, 2, 1).reshape(3, 6)
    np.testing.assert_allclose(given["embeddings"], halves / np.linalg.norm(halves, axis=1, keepdims=True), atol=1e-4)


def test_a_graph_that_does_not_do_what_its_weights_do_is_noticed(tmp_path: Path) -> None:
    weights = Weights(tiny_detector(tmp_path / "tiny.onnx"))
    swapped = verify.raw_outputs(weights, RGB_255, verify.test_pictures(64, 64))
    head = recognise(weights, swapped, CLASSES)
    settings = DetectorSettings(BGR_255, head, (0, 1), score_threshold=0.05, iou_threshold=0.65, max_boxes=20)
    checks = verify.check_detector(weights, settings, swapped)
    with pytest.raises(InvalidInput, match="does not do what its weights do"):
        verify.require(checks, weights)


def test_the_configurations_carry_contract_batching_and_card(tmp_path: Path) -> None:
    card = build_detector(tiny_detector(tmp_path / "tiny.onnx"), tmp_path, class_names=CLASSES, max_boxes=10)
    cpu, gpu = (
        text_format.Parse((tmp_path / "detector" / name).read_text(), model_config_pb2.ModelConfig())
        for name in ("configs/cpu.pbtxt", "config.pbtxt")
    )
    for config in (cpu, gpu):
        assert [(each.name, list(each.dims)) for each in config.input] == [("images", [64, 64, 3])]
        assert [each.name for each in config.output] == ["boxes", "scores", "classes", "count"]
        assert config.dynamic_batching.preferred_batch_size
        assert config.parameters["digest"].string_value == card.digest
        assert ModelCard.model_validate_json(config.parameters["card"].string_value) == card
    assert (cpu.backend, gpu.platform) == ("python", "tensorrt_plan")
    assert ModelCard.read(tmp_path / "detector") == card


def test_the_same_weights_give_the_same_digest_and_other_settings_another(tmp_path: Path) -> None:
    weights = tiny_detector(tmp_path / "tiny.onnx")
    digests = [
        build_detector(
            weights, tmp_path / str(number), class_names=CLASSES, max_boxes=10, score_threshold=threshold
        ).digest
        for number, threshold in enumerate((0.05, 0.05, 0.2))
    ]
    assert digests[0] == digests[1] != digests[2]
    assert check_digest(tmp_path / "0" / "detector").digest == digests[0]
    (tmp_path / "0" / "detector" / "1" / "model.onnx").write_bytes(b"other")
    with pytest.raises(FailedPrecondition, match="build it again"):
        check_digest(tmp_path / "0" / "detector")


def test_weights_that_do_not_fit_are_refused_with_what_would(tmp_path: Path) -> None:
    detector, reid = tiny_detector(tmp_path / "detector.onnx"), tiny_reid(tmp_path / "reid.onnx")
    with pytest.raises(InvalidInput, match=r"output \S+ \(1, 6\) for 32x64 pictures; what fits is YOLOX's \(n, cells"):
        build_detector(reid, tmp_path, class_names=CLASSES)
    with pytest.raises(InvalidInput, match=r"output \(1, 84, 7\); what fits is one descriptor a crop"):
        build_reid(detector, tmp_path)
    with pytest.raises(InvalidInput, match=r"what fits is YOLOX's|0 names are given"):
        build_detector(detector, tmp_path)
    with pytest.raises(InvalidInput, match="weights that know person or trolley"):
        build_detector(detector, tmp_path, class_names=("shelf", "basket"))
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(InvalidInput, match="is no ONNX model"):
        build_reid(tmp_path / "text.onnx", tmp_path)
    with pytest.raises(NotFound, match=r"no weights at .*gone\.onnx"):
        build_reid(tmp_path / "gone.onnx", tmp_path)
    with pytest.raises(InvalidInput, match="colours"):
        Normalisation("grey")
    assert not (tmp_path / "detector").exists()


def test_a_plan_needs_tensorrt_and_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_reid(tiny_reid(tmp_path / "tiny.onnx"), tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FailedPrecondition, match="Triton's container"):
        build_plan(tmp_path / "reid")


def test_a_missing_or_broken_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"card\.json"):
        ModelCard.read(tmp_path)
    (tmp_path / "card.json").write_text('{"name": "detector"}')
    with pytest.raises(CorruptArtifact, match="no model card"):
        ModelCard.read(tmp_path)


@pytest.mark.skipif("THROUGHLINE_REALDATA" not in os.environ, reason="needs the real weights")
def test_a_backbone_of_another_opset_and_a_fixed_batch_is_built(tmp_path: Path) -> None:
    weights = Path(os.environ["THROUGHLINE_REALDATA"], "weights", "person-reid-0267.onnx")
    card = build_reid(weights, tmp_path, normalisation=RGB_255)
    assert card.embedding_dim == 256


def test_real_weights_are_built_as_they_are(real_repository: Path) -> None:
    detector, reid = (check_digest(real_repository / name) for name in ("detector", "reid"))
    assert (detector.input_width, detector.input_height, detector.class_names) == (416, 416, ("person",))
    assert (reid.input_width, reid.input_height, reid.embedding_dim) == (128, 256, 512)
    assert reid.build["mean"] == ", ".join(f"{value:g}" for value in IMAGENET.mean)
