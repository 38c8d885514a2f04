"""What the trainings stand on; needs the `torch` extra."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from throughline.training import detector, reid  # noqa: E402
from throughline.training.detector_loss import assign, box_iou, detection_loss, generalised_iou  # noqa: E402
from throughline.training.detector_net import Detector, Exported, cells, decode  # noqa: E402
from throughline.training.reid_net import DIMENSIONS, OSNet  # noqa: E402


def test_detector_gives_a_row_for_every_cell_and_exports_the_same_numbers(tmp_path: Path) -> None:
    network = Detector().eval()
    images = torch.rand(2, 3, 256, 416) * 255
    wanted = Exported(network)(images).detach().numpy()
    assert wanted.shape == (2, len(cells(256, 416)), 7)
    detector.export(network, tmp_path / "detector.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "detector.onnx")
    assert session.get_outputs()[0].shape[1:] == [2184, 7]
    assert np.allclose(session.run(None, {"images": images.numpy()})[0], wanted, atol=1e-3)


def test_osnet_is_as_small_as_the_paper_says_and_exports_the_same_numbers(tmp_path: Path) -> None:
    network = OSNet().eval()
    assert 0.15e6 < sum(weights.numel() for weights in network.parameters()) < 0.35e6
    crops = torch.randn(3, 3, 128, 64)
    wanted = network(crops).detach().numpy()
    assert wanted.shape == (3, DIMENSIONS)
    reid.export(network, tmp_path / "reid.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "reid.onnx")
    assert np.allclose(session.run(None, {"images": crops.numpy()})[0], wanted, atol=1e-3)


def test_overlaps_of_boxes() -> None:
    a = torch.tensor([[0.0, 0, 10, 10], [0, 0, 4, 4]])
    b = torch.tensor([[0.0, 0, 10, 10], [5, 5, 9, 9]])
    assert torch.allclose(box_iou(a, b), torch.tensor([[1.0, 0.16], [0.16, 0.0]]))
    assert generalised_iou(a, b)[0] == 1
    assert generalised_iou(a, b)[1] < 0


def test_a_box_is_learned_by_cells_near_its_middle_and_only_once() -> None:
    grid = cells(256, 416)
    truth = torch.tensor([[100.0, 60, 130, 140], [110, 62, 140, 142]])
    raw = torch.zeros(1, len(grid), 7)
    cell, owner, _ = assign(decode(raw, grid)[0], raw[0, :, 4:], grid, truth, torch.zeros(2, dtype=torch.long))
    assert set(owner.tolist()) == {0, 1}
    assert len(set(cell.tolist())) == len(cell)
    centres = grid[cell, :2] + grid[cell, 2:] / 2
    assert ((centres > truth[owner, :2]) & (centres < truth[owner, 2:])).all()


def test_ignored_boxes_cost_nothing() -> None:
    grid = cells(256, 416)
    raw = torch.zeros(1, len(grid), 7)
    nothing = [torch.zeros(0, 5)]
    everywhere = [torch.tensor([[-1.0, -1, 500, 500]])]
    assert detection_loss(raw, grid, nothing, everywhere) == 0
    assert detection_loss(raw, grid, nothing, [torch.zeros(0, 4)]) > 0


def test_augmentation_keeps_boxes_on_what_they_mark() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        image = np.zeros((256, 416, 3), np.uint8)
        image[100:160, 200:230] = 255
        box = np.array([[200, 100, 230, 160, 0, 1]], np.float32)
        moved, boxes = detector.augment(image, box, rng)
        if len(boxes) and boxes[0, 5] > 0.9:
            left, top, right, bottom = boxes[0, :4].round().astype(int)
            assert moved[top + 2 : bottom - 2, left + 2 : right - 2].mean() > 100


def test_triplet_loss_falls_as_people_come_apart() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    apart = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    mixed = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    assert reid.triplet_loss(apart, labels) < reid.triplet_loss(mixed, labels)
