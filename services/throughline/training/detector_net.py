"""The detector's network: a small residual backbone, a feature pyramid and anchor-free decoupled heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)
CLASSES = 2
_CHANNELS = (16, 32, 64, 128, 192)
_NECK = 64
_HEAD = 48


class Conv(nn.Sequential):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """x + 3x3(1x1(x)), half as wide inside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(Conv(channels, channels // 2, 1), Conv(channels // 2, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class Pooling(nn.Module):
    """Max pooling over windows of three sizes, beside the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before = Conv(channels, channels // 2, 1)
        self.after = Conv(channels * 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.before(x)]
        for _ in range(3):
            levels.append(functional.max_pool2d(levels[-1], 5, 1, 2))
        out: Tensor = self.after(torch.cat(levels, dim=1))
        return out


class Head(nn.Module):
    """Boxes, objectness and classes of one level."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(_NECK, _HEAD, 1)
        self.box_tower, self.class_tower = Conv(_HEAD, _HEAD), Conv(_HEAD, _HEAD)
        self.box = nn.Conv2d(_HEAD, 5, 1)
        self.kind = nn.Conv2d(_HEAD, CLASSES, 1)
        nn.init.constant_(self.box.bias[4:], -4.6)
        nn.init.constant_(self.kind.bias, -2.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return torch.cat([self.box(self.box_tower(x)), self.kind(self.class_tower(x))], dim=1)


class Detector(nn.Module):
    """(n, 3, h, w) BGR 0..255, h and w multiples of 32, to (n, cells, 5 + CLASSES).

    A cell's values: offset of the box's centre from the cell's corner in strides, logarithm of its width and height in
    strides, logit of objectness, logits of the classes. Cells run over rows within a level, levels from stride 8 up.
    """

    def __init__(self) -> None:
        super().__init__()
        c = _CHANNELS
        self.stem = Conv(3, c[0], 3, 2)
        self.stage2 = nn.Sequential(Conv(c[0], c[1], 3, 2), Residual(c[1]))
        self.stage3 = nn.Sequential(Conv(c[1], c[2], 3, 2), Residual(c[2]), Residual(c[2]))
        self.stage4 = nn.Sequential(Conv(c[2], c[3], 3, 2), Residual(c[3]), Residual(c[3]))
        self.stage5 = nn.Sequential(Conv(c[3], c[4], 3, 2), Pooling(c[4]), Residual(c[4]))
        self.lateral = nn.ModuleList(Conv(channels, _NECK, 1) for channels in c[2:])
        self.merge = nn.ModuleList(Conv(_NECK, _NECK) for _ in STRIDES)
        self.heads = nn.ModuleList(Head() for _ in STRIDES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stage2(self.stem((images - 114.0) / 64.0))
        levels = [self.stage3(x)]
        levels.append(self.stage4(levels[-1]))
        levels.append(self.stage5(levels[-1]))
        sides = [lateral(level) for lateral, level in zip(self.lateral, levels, strict=True)]
        for i in (1, 0):
            sides[i] = sides[i] + functional.interpolate(sides[i + 1], scale_factor=2.0, mode="nearest")
        outputs = [
            head(merge(side)).flatten(2) for head, merge, side in zip(self.heads, self.merge, sides, strict=True)
        ]
        return torch.cat(outputs, dim=2).transpose(1, 2)


class Exported(nn.Module):
    """The detector as it is exported: objectness and classes as probabilities, boxes undecoded."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        raw = self.detector(images)
        return torch.cat([raw[..., :4], raw[..., 4:].sigmoid()], dim=2)


def cells(height: int, width: int) -> Tensor:
    """(cells, 3): x and y of each cell's corner and its stride, in input pixels, in the order of the network's output."""
    levels = []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        corner = torch.stack([x.flatten(), y.flatten()], dim=1).float() * stride
        levels.append(torch.cat([corner, torch.full((len(corner), 1), float(stride))], dim=1))
    return torch.cat(levels)


def decode(raw: Tensor, grid: Tensor) -> Tensor:
    """(n, cells, 4) xyxy boxes in input pixels from the network's first four values."""
    stride = grid[:, 2:]
    centre = grid[:, :2] + raw[..., :2] * stride
    half = raw[..., 2:4].clamp(max=6.0).exp() * stride / 2
    return torch.cat([centre - half, centre + half], dim=-1)
