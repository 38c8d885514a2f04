"""Learning rate over time and the running average of weights, shared by both trainings."""

from __future__ import annotations

import math

import torch
from torch import nn

_WARM_UP_STEPS = 60


def learning_rate(peak: float, step: int, progress: float) -> float:
    """Linear warm-up, then half a cosine down to 2% of `peak` as `progress` goes from 0 to 1."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return peak * min(1.0, (step + 1) / _WARM_UP_STEPS) * max(0.02, cosine)


@torch.no_grad()
def average_weights(smooth: nn.Module, network: nn.Module, step: int) -> None:
    """Move `smooth` toward `network`, slowly once there have been many steps; counters are copied."""
    decay = min(0.998, (1 + step) / (20 + step))
    for target, source in zip(smooth.state_dict().values(), network.state_dict().values(), strict=True):
        if target.dtype.is_floating_point:
            target.lerp_(source.to(target.dtype), 1 - decay)
        else:
            target.copy_(source)
