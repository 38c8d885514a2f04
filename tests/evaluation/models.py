"""`throughline models build` on real weights: built models against the originals on MOT17-mini's pictures.

Pre- and postprocessing of the original side are written here once more, with OpenCV and NumPy. Needs THROUGHLINE_REALDATA; the
checkpoint's part also THROUGHLINE_TORCH_PYTHON, the Python of an environment that has torch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from rich.console import Console

from tests.bench.measure import Measure
from throughline.domain.geometry import Size, iou_matrix
from throughline.models.build import build_detector, build_reid
from throughline.models.checkpoint import TORCH_PYTHON
from throughline.models.graph import BGR_255, IMAGENET
from throughline.models.labelled import LabelledFrame, average_precision, read_labelled
from throughline.models.runtime import run_onnx
from throughline.models.trials import Placing, placed
from throughline.perception.embed import fitted

SCORE = 0.3
_NMS = 0.65
_CANVAS, _CROP = Size(416, 416), Size(128, 256)
_CROPS = 200

Boxes = tuple[NDArray[np.float32], NDArray[np.float32]]


def run(folder: Path) -> list[Measure]:
    """Build into `folder` and compare."""
    weights = Path(os.environ["THROUGHLINE_REALDATA"], "weights")
    frames = read_labelled(Path(os.environ["THROUGHLINE_REALDATA"], "mot", "MOT17-mini"))
    crops = _crops(frames)
    measures = [*_detector(weights / "yolox_nano.onnx", folder, frames)]
    original = onnx.load(str(weights / "osnet_x0_25_msmt17.onnx"))
    (given,) = run_onnx(original, [IMAGENET.apply(crops)])
    measures += _reid("OSNet from ONNX", weights / "osnet_x0_25_msmt17.onnx", folder, crops, next(iter(given.values())))
    checkpoint = weights / "osnet_x0_25_market1501.pt"
    if TORCH_PYTHON in os.environ:
        measures += _reid("OSNet from its checkpoint", checkpoint, folder, crops, _by_torch(checkpoint, crops))
    else:
        Console(stderr=True).print(f"models: the checkpoint is skipped; set {TORCH_PYTHON} to a Python that has torch")
    return measures


def _detector(weights: Path, folder: Path, frames: list[LabelledFrame]) -> list[Measure]:
    build_detector(weights, folder, keep_classes=("person",), score_threshold=0.01, max_boxes=300, licence="Apache-2.0")
    pictures, backs = zip(*(placed(frame.picture(), _CANVAS, Placing()) for frame in frames), strict=True)
    batch = np.stack(pictures)
    (built,) = run_onnx(onnx.load(str(folder / "detector" / "1" / "model.onnx")), [batch])
    planes = BGR_255.apply(batch)
    raw = [
        next(iter(each.values()))[0]
        for each in run_onnx(onnx.load(str(weights)), [planes[i : i + 1] for i in range(len(planes))])
    ]
    found = [(built["boxes"][i, :n], built["scores"][i, :n]) for i, n in enumerate(built["count"].ravel())]
    wanted = [_people(each) for each in raw]
    least, counts = 1.0, 0
    for got, want in zip(found, wanted, strict=True):
        ours, theirs = (boxes[scores >= SCORE] for boxes, scores in (got, want))
        counts += len(ours) != len(theirs)
        if len(ours) and len(theirs):
            least = min(least, float(iou_matrix(theirs, ours).max(axis=1).min()))
    back = [((boxes - offset) / scale, scores) for (boxes, scores), (offset, scale) in zip(found, backs, strict=True)]
    return [
        Measure(f"YOLOX-nano: least IoU of {len(frames)} pictures' boxes at {SCORE}", least, "", 0.99, "higher"),
        Measure(f"YOLOX-nano: pictures with another count at {SCORE}", counts, "", 0),
        Measure("YOLOX-nano: boxes compared", sum(int((scores >= SCORE).sum()) for _, scores in wanted), ""),
        Measure("YOLOX-nano: AP50 of people, MOT17-mini", average_precision(back, frames), "", 0.40, "higher"),
    ]


def model_frames(real: Path) -> NDArray[np.uint8]:
    """(n, 416, 416, 3) uint8 RGB: MOT17-mini's pictures as a detector of that size takes them."""
    frames = read_labelled(real / "mot" / "MOT17-mini")
    return np.stack([placed(frame.picture(), _CANVAS, Placing())[0] for frame in frames])


def model_crops(real: Path) -> NDArray[np.uint8]:
    """(n, 256, 128, 3) uint8 RGB: labelled people of MOT17-mini."""
    return _crops(read_labelled(real / "mot" / "MOT17-mini"))


def _people(raw: NDArray[np.float32]) -> Boxes:
    """YOLOX's own decoding of one picture's (3549, 85), for people only."""
    grids, strides = [], []
    for stride in (8, 16, 32):
        columns, rows = np.meshgrid(np.arange(416 // stride), np.arange(416 // stride))
        grids.append(np.stack([columns, rows], 2).reshape(-1, 2))
        strides.append(np.full((grids[-1].shape[0], 1), stride))
    grid, stride_column = np.concatenate(grids), np.concatenate(strides)
    centre, half = (raw[:, :2] + grid) * stride_column, np.exp(raw[:, 2:4]) * stride_column / 2
    boxes = np.hstack([centre - half, centre + half]).astype(np.float32)
    scores = raw[:, 4] * raw[:, 5]
    order = [i for i in np.argsort(-scores) if scores[i] > 0.01]
    kept: list[int] = []
    for i in order:
        if not kept or iou_matrix(boxes[[i]], boxes[kept]).max() <= _NMS:
            kept.append(int(i))
    return boxes[kept], scores[kept]


def _crops(frames: list[LabelledFrame]) -> NDArray[np.uint8]:
    """Crops of labelled people, (n, 256, 128, 3) uint8 RGB."""
    crops = []
    for frame in frames:
        picture = frame.picture()
        for left, top, right, bottom in frame.people.astype(int).clip(0):
            crop = picture[top:bottom, left:right]
            if min(crop.shape[:2]) >= 32:
                crops.append(fitted(crop, _CROP))
    step = max(1, len(crops) // _CROPS)
    return np.stack(crops[::step])


def _reid(
    name: str, weights: Path, folder: Path, crops: NDArray[np.uint8], original: NDArray[np.float32]
) -> list[Measure]:
    build_reid(weights, folder, licence="MIT")
    (given,) = run_onnx(onnx.load(str(folder / "reid" / "1" / "model.onnx")), [crops])
    original = original / np.linalg.norm(original, axis=1, keepdims=True)
    cosines = (given["embeddings"] * original).sum(axis=1)
    return [Measure(f"{name}: least cosine of {len(crops)} crops", float(cosines.min()), "", 0.9999, "higher")]


def _by_torch(checkpoint: Path, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What torch makes of the checkpoint itself."""
    with tempfile.TemporaryDirectory() as folder:
        given, results = Path(folder, "crops.npy"), Path(folder, "features.npy")
        np.save(given, IMAGENET.apply(crops))
        script = Path(__file__).with_name("osnet_by_torch.py")
        command = [os.environ[TORCH_PYTHON], *map(str, (script, checkpoint, given, results))]
        services = Path(sys.modules["throughline"].__path__[0]).parent
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(services)})
        features: NDArray[np.float32] = np.load(results)
        return features
