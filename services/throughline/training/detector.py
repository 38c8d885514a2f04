"""Trains the demo's detector on simulated stores and exports it to ONNX: `python -m throughline.training.detector`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from throughline.training.detector_loss import box_iou, detection_loss
from throughline.training.detector_net import CLASSES, Detector, Exported, cells, decode
from throughline.training.export import export_onnx
from throughline.training.samples import CANVAS
from throughline.training.schedule import Budget, Training

Image = NDArray[np.uint8]

HELD_OUT = 2
"""Stores, the last of the samples, that figures are measured on."""
MIN_VISIBILITY = 0.25
MIN_HEIGHT = 10.0
"""Canvas pixels; 31 in a frame of 720 lines. Less than these counts neither for nor against."""


class Frames:
    """Labelled frames of many stores in memory."""

    def __init__(self, paths: list[Path]) -> None:
        self.images: list[Image] = []
        self.boxes: list[NDArray[np.float32]] = []
        for path in paths:
            with np.load(path) as file:
                frames, boxes = file["frames"], file["boxes"]
            self.images.extend(frames)
            self.boxes.extend(boxes[boxes[:, 0] == i, 1:] for i in range(len(frames)))

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Augmented images (n, 3, h, w) BGR 0..255, targets and ignored boxes for `detection_loss`."""
        picks = rng.integers(len(self.images), size=size)
        images, boxes = zip(*(augment(self.images[i], self.boxes[i], rng) for i in picks), strict=True)
        split = [divide(b) for b in boxes]
        return to_input(np.stack(images)), [s[0] for s in split], [s[1] for s in split]


def to_input(images: Image) -> Tensor:
    """(n, h, w, 3) RGB to (n, 3, h, w) float BGR in channels-last memory."""
    return torch.from_numpy(np.ascontiguousarray(images[..., ::-1])).permute(0, 3, 1, 2).float()


def divide(boxes: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """(g, 5) boxes to learn and (i, 4) boxes to ignore."""
    learn = (boxes[:, 5] >= MIN_VISIBILITY) & (boxes[:, 3] - boxes[:, 1] >= MIN_HEIGHT)
    learn &= boxes[:, 2] - boxes[:, 0] >= 3.0
    return torch.from_numpy(boxes[learn, :5].copy()), torch.from_numpy(boxes[~learn, :4].copy())


def augment(image: Image, boxes: NDArray[np.float32], rng: np.random.Generator) -> tuple[Image, NDArray[np.float32]]:
    """Flip, zoom, shift and recolour one frame and its (m, 6) boxes."""
    height, width = image.shape[:2]
    zoom = float(np.exp(rng.uniform(-0.25, 0.3))) if rng.random() < 0.6 else 1.0
    flip = rng.random() < 0.5
    shift = rng.uniform(-0.5, 0.5, 2) * [width, height] * abs(zoom - 1.0)
    scale = np.array([-zoom if flip else zoom, zoom])
    move = np.array([width, height]) / 2 + shift - scale * np.array([width, height]) / 2
    matrix = np.array([[scale[0], 0, move[0]], [0, scale[1], move[1]]])
    image = np.asarray(cv2.warpAffine(image, matrix, (width, height), borderValue=(114, 114, 114)), np.uint8)
    gains = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.06, 3))
    table = np.clip(np.arange(256)[:, None] * gains + rng.normal(0, 10), 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, table[None]), np.uint8)
    out = boxes.copy()
    x, y = (boxes[:, [0, 2]] * scale[0] + move[0]), (boxes[:, [1, 3]] * scale[1] + move[1])
    before = np.maximum(1e-6, np.ptp(x, axis=1) * np.ptp(y, axis=1))
    out[:, 0], out[:, 2] = np.clip(x.min(axis=1), 0, width), np.clip(x.max(axis=1), 0, width)
    out[:, 1], out[:, 3] = np.clip(y.min(axis=1), 0, height), np.clip(y.max(axis=1), 0, height)
    kept = (out[:, 2] - out[:, 0]) * (out[:, 3] - out[:, 1]) / before
    out[:, 5] *= kept
    return image, out[kept > 0.02]


def detect(network: Detector, images: Image, threshold: float = 0.05) -> list[NDArray[np.float32]]:
    """(m, 6) xyxy, score, class of every frame after non-maximum suppression at IoU 0.6, per class, best first."""
    network.eval()
    with torch.inference_mode():
        raw = network(to_input(images)).float()
    boxes = decode(raw, cells(*images.shape[1:3]))
    found = []
    for frame, values in zip(boxes, raw[..., 4:].sigmoid(), strict=True):
        scores, kinds = (values[:, :1] * values[:, 1:]).max(dim=1)
        order = scores.argsort(descending=True)
        order = order[scores[order] > threshold][:300]
        overlap = box_iou(frame[order], frame[order]) * (kinds[order][:, None] == kinds[order][None])
        kept: list[int] = []
        for i in range(len(order)):
            if not kept or float(overlap[i, kept].max()) < 0.6:
                kept.append(i)
        chosen = order[kept]
        rows = torch.cat([frame[chosen], scores[chosen][:, None], kinds[chosen][:, None].float()], dim=1)
        found.append(rows.numpy())
    return found


def evaluate(network: Detector, frames: Frames, limit: int = 240) -> dict[str, float]:
    """Average precision at IoU 0.5 for people, and recall and precision at score 0.5; ignored boxes count for nothing."""
    step = max(1, len(frames.images) // limit)
    picks = range(0, len(frames.images), step)
    hits: list[tuple[float, bool]] = []
    total = 0
    for start in range(0, len(picks), 16):
        part = picks[start : start + 16]
        for i, rows in zip(part, detect(network, np.stack([frames.images[i] for i in part])), strict=True):
            learn, ignored = divide(frames.boxes[i])
            truth = learn[learn[:, 4] == 0, :4]
            total += len(truth)
            hits += _match(rows[rows[:, 5] == 0], truth, ignored)
    hits.sort(key=lambda hit: -hit[0])
    right = np.cumsum([hit[1] for hit in hits])
    precision = right / np.arange(1, len(hits) + 1)
    recall = right / max(1, total)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    sure = sum(hit[0] >= 0.5 for hit in hits)
    return {
        "ap50": float(np.sum(np.diff(recall, prepend=0.0) * envelope)),
        "recall_at_0.5": float(recall[sure - 1]) if sure else 0.0,
        "precision_at_0.5": float(precision[sure - 1]) if sure else 0.0,
        "frames": float(len(picks)),
    }


def _match(rows: NDArray[np.float32], truth: Tensor, ignored: Tensor) -> list[tuple[float, bool]]:
    found = torch.from_numpy(rows[:, :4])
    overlap, beside = box_iou(found, truth).numpy(), box_iou(found, ignored).numpy()
    taken: set[int] = set()
    hits = []
    for i, score in enumerate(rows[:, 4]):
        best = max((j for j in range(len(truth)) if j not in taken), key=lambda j: overlap[i, j], default=None)
        if best is not None and overlap[i, best] >= 0.5:
            taken.add(best)
            hits.append((float(score), True))
        elif not (beside.shape[1] and beside[i].max() > 0.3):
            hits.append((float(score), False))
    return hits


def export(network: Detector, path: Path) -> None:
    """Write the ONNX file: `images` (n, 3, 256, 416) float32 BGR 0..255 to `output` (n, cells, 7)."""
    export_onnx(Exported(network), path, CANVAS, (len(cells(CANVAS.height, CANVAS.width)), 5 + CLASSES))


def train(samples: Path, out: Path, *, minutes: float, steps: int, batch: int, seed: int) -> None:
    """Train for `steps` or at most `minutes`; weights, ONNX and figures go to `out` at every evaluation."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    paths = sorted(samples.glob("*.npz"))
    data, held_out = Frames(paths[:-HELD_OUT]), Frames(paths[-HELD_OUT:])
    network, smooth = Detector().to(memory_format=torch.channels_last), Detector()
    grid = cells(CANVAS.height, CANVAS.width)

    def loss() -> Tensor:
        images, targets, ignored = data.batch(rng, batch)
        with torch.autocast("cpu", torch.bfloat16):
            raw = network(images)
        return detection_loss(raw.float(), grid, targets, ignored)

    def keep(step: int) -> None:
        figures = evaluate(smooth, held_out) | {"step": float(step)}
        print(json.dumps(figures), flush=True)
        torch.save(smooth.state_dict(), out / "detector.pt")
        export(smooth, out / "detector.onnx")
        (out / "detector.json").write_text(json.dumps(figures, indent=2) + "\n")

    out.mkdir(parents=True, exist_ok=True)
    Training(network, smooth, list(network.parameters()), peak_rate=2e-3, weight_decay=0.02).run(
        loss, keep, Budget(steps, minutes)
    )


def main() -> None:
    """Train the detector on a folder of samples that `throughline.training.samples` has written."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    train(
        options.samples,
        options.out,
        minutes=options.minutes,
        steps=options.steps,
        batch=options.batch,
        seed=options.seed,
    )


if __name__ == "__main__":
    main()
