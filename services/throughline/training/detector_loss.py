"""Which cells learn which box, and the loss: dynamic assignment by cost (SimOTA, from the YOLOX paper, arXiv:2107.08430)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from throughline.training.detector_net import CLASSES, decode

_CENTRE_RADIUS = 1.5
_CANDIDATES = 10
_BOX_WEIGHT = 5.0


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """(n, m) intersection over union of xyxy boxes."""
    corner = torch.maximum(a[:, None, :2], b[None, :, :2])
    opposite = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (opposite - corner).clamp(min=0).prod(dim=2)
    areas = [(x[:, 2:] - x[:, :2]).clamp(min=0).prod(dim=1) for x in (a, b)]
    return shared / (areas[0][:, None] + areas[1][None] - shared).clamp(min=1e-6)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """(n,) generalised IoU of paired boxes (arXiv:1902.09630)."""
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(dim=1)
    union = (a[:, 2:] - a[:, :2]).clamp(min=0).prod(dim=1) + (b[:, 2:] - b[:, :2]).prod(dim=1) - shared
    around = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).clamp(min=0).prod(dim=1)
    union, around = union.clamp(min=1e-6), around.clamp(min=1e-6)
    return shared / union - (around - union) / around


def assign(boxes: Tensor, logits: Tensor, grid: Tensor, truth: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Match cells to boxes by classification and overlap cost, each box to as many cells as its best overlaps add up to.

    Args:
        boxes: (cells, 4) predicted; logits: (cells, 1 + CLASSES); grid: (cells, 3).
        truth: (g, 4) boxes with g > 0; kinds: (g,) int64 classes.

    Returns:
        (k,) cell indices, (k,) indices of their boxes, (k,) overlaps of prediction and box.
    """
    stride = grid[:, 2]
    centres = grid[:, :2] + stride[:, None] / 2
    offset = centres[None] - ((truth[:, :2] + truth[:, 2:]) / 2)[:, None]
    central = (offset.abs() < _CENTRE_RADIUS * stride[None, :, None]).all(dim=2)
    inside = ((centres[None] > truth[:, None, :2]) & (centres[None] < truth[:, None, 2:])).all(dim=2)
    candidates = (central | inside).any(dim=0).nonzero()[:, 0]
    overlap = box_iou(truth, boxes[candidates])
    scores = (logits[candidates, :1].sigmoid() * logits[candidates, 1:].sigmoid()).sqrt()
    wanted = functional.one_hot(kinds, CLASSES).float()
    pairs = (len(truth), len(candidates), CLASSES)
    cost = functional.binary_cross_entropy(
        scores[None].expand(pairs).clamp(1e-6, 1 - 1e-6), wanted[:, None].expand(pairs), reduction="none"
    ).sum(dim=2)
    cost = cost - 3.0 * overlap.clamp(min=1e-6).log() + 1e5 * ~(central & inside)[:, candidates]
    counts = overlap.topk(min(_CANDIDATES, len(candidates)), dim=1).values.sum(dim=1).int().clamp(min=1)
    chosen = torch.zeros_like(cost, dtype=torch.bool)
    for row, count in enumerate(counts.tolist()):
        chosen[row, cost[row].topk(min(count, len(candidates)), largest=False).indices] = True
    contested = chosen.sum(dim=0) > 1
    chosen[:, contested] = functional.one_hot(cost[:, contested].argmin(dim=0), len(truth)).T.bool()
    owner, cell = chosen.nonzero(as_tuple=True)
    return candidates[cell], owner, overlap[owner, cell]


def detection_loss(raw: Tensor, grid: Tensor, targets: list[Tensor], ignored: list[Tensor]) -> Tensor:
    """Loss of a batch, a number.

    Args:
        raw: (n, cells, 5 + CLASSES) float32 from the network.
        targets: for each image (g, 5): xyxy and class. ignored: for each image (i, 4) boxes that are neither right nor wrong.
    """
    boxes = decode(raw, grid)
    centres = grid[:, :2] + grid[:, 2:] / 2
    wanted, weight = torch.zeros(raw.shape[:2]), torch.ones(raw.shape[:2])
    box_terms, class_terms, total = [], [], 0
    for i, truth in enumerate(targets):
        within = (centres[None] > ignored[i][:, None, :2]) & (centres[None] < ignored[i][:, None, 2:])
        weight[i, within.all(dim=2).any(dim=0)] = 0.0
        if not len(truth):
            continue
        with torch.no_grad():
            cell, owner, overlap = assign(
                boxes[i].detach(), raw[i, :, 4:].detach(), grid, truth[:, :4], truth[:, 4].long()
            )
        wanted[i, cell], weight[i, cell] = 1.0, 1.0
        box_terms.append((1.0 - generalised_iou(boxes[i, cell], truth[owner, :4])).sum())
        soft = functional.one_hot(truth[owner, 4].long(), CLASSES) * overlap[:, None]
        class_terms.append(functional.binary_cross_entropy_with_logits(raw[i, cell, 5:], soft, reduction="sum"))
        total += len(cell)
    object_term = (functional.binary_cross_entropy_with_logits(raw[..., 4], wanted, reduction="none") * weight).sum()
    loss: Tensor = (_BOX_WEIGHT * sum(box_terms) + object_term + sum(class_terms)) / max(1, total)
    return loss
