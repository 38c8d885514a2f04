"""OSNet (omni-scale network, arXiv:1905.00953) at a quarter of its width, written from the paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

DIMENSIONS = 512
_CHANNELS = (16, 64, 96, 128)
_SCALES = 4
_REDUCTION = 4
_GATE_REDUCTION = 16


class Conv(nn.Sequential):
    """Convolution, batch normalisation and, unless linear, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, linear: bool = False) -> None:
        layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]
        super().__init__(*layers, *([] if linear else [nn.ReLU(inplace=True)]))


class LightConv(nn.Sequential):
    """The paper's Lite 3x3: a pointwise convolution, then a depthwise one."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class AggregationGate(nn.Module):
    """Weights each channel of a stream by what the stream shows; one gate is shared by all streams of a block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(4, channels // _GATE_REDUCTION)
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x * self.layers(x)
        return out


class OmniScaleBlock(nn.Module):
    """A residual bottleneck whose streams see 3, 5, 7 and 9 pixels, summed through the gate."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        inner = outputs // _REDUCTION
        self.reduce = Conv(inputs, inner, 1)
        self.streams = nn.ModuleList(
            nn.Sequential(*(LightConv(inner) for _ in range(scale))) for scale in range(1, _SCALES + 1)
        )
        self.gate = AggregationGate(inner)
        self.expand = Conv(inner, outputs, 1, linear=True)
        self.shortcut = Conv(inputs, outputs, 1, linear=True) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        mixed = torch.stack([self.gate(stream(reduced)) for stream in self.streams]).sum(dim=0)
        return torch.relu(self.expand(mixed) + self.shortcut(x))


class OSNet(nn.Module):
    """(n, 3, h, w) RGB, normalised by ImageNet's mean and deviation, to (n, DIMENSIONS) descriptors, not of unit length."""

    def __init__(self) -> None:
        super().__init__()
        c = _CHANNELS
        self.stem = nn.Sequential(Conv(3, c[0], 7, 2), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.Sequential(
            OmniScaleBlock(c[0], c[1]),
            OmniScaleBlock(c[1], c[1]),
            nn.Sequential(Conv(c[1], c[1], 1), nn.AvgPool2d(2)),
            OmniScaleBlock(c[1], c[2]),
            OmniScaleBlock(c[2], c[2]),
            nn.Sequential(Conv(c[2], c[2], 1), nn.AvgPool2d(2)),
            OmniScaleBlock(c[2], c[3]),
            OmniScaleBlock(c[3], c[3]),
            Conv(c[3], c[3], 1),
        )
        self.describe = nn.Sequential(nn.Linear(c[3], DIMENSIONS, bias=False), nn.BatchNorm1d(DIMENSIONS))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.describe(self.stages(self.stem(x)).mean(dim=(2, 3)))
        return out
