"""The loop that both trainings share: learning rate over time, the running average of weights, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_WARM_UP_STEPS = 60
_LOG_STEPS, _KEEP_STEPS = 50, 250


@dataclass(frozen=True, slots=True)
class Budget:
    """A training ends after so many steps or minutes, whichever come first. Only steps make it repeatable."""

    steps: int
    minutes: float


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A network that learns, and `smooth`, the average of its weights over time, which is what is kept."""

    network: nn.Module
    smooth: nn.Module
    parameters: list[nn.Parameter]
    peak_rate: float
    weight_decay: float

    def run(self, loss: Callable[[], Tensor], keep: Callable[[int], None], budget: Budget) -> None:
        """Step by step lower `loss()`, the loss of a fresh batch; call `keep(step)` now and then, and at the end."""
        self.smooth.load_state_dict(self.network.state_dict())
        optimiser = torch.optim.AdamW(self.parameters, lr=self.peak_rate, weight_decay=self.weight_decay)
        begin, step, total, progress = time.monotonic(), 0, 0.0, 0.0
        while progress < 1.0:
            optimiser.param_groups[0]["lr"] = learning_rate(self.peak_rate, step, progress)
            self.network.train()
            value = loss()
            optimiser.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, 10.0)
            optimiser.step()
            average_weights(self.smooth, self.network, step)
            step, total, elapsed = step + 1, total + value.item(), time.monotonic() - begin
            progress = max(step / budget.steps, elapsed / (60 * budget.minutes))
            if step % _LOG_STEPS == 0:
                print(f"step {step} {progress:.1%} loss {total / _LOG_STEPS:.3f} {elapsed:.0f} s", flush=True)
                total = 0.0
            if step % _KEEP_STEPS == 0 or progress >= 1.0:
                keep(step)


def learning_rate(peak: float, step: int, progress: float) -> float:
    """Linear warm-up, then half a cosine down to 2% of `peak` as `progress` goes from 0 to 1."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return peak * min(1.0, (step + 1) / _WARM_UP_STEPS) * max(0.02, cosine)


def average_weights(smooth: nn.Module, network: nn.Module, step: int) -> None:
    """Move `smooth` toward `network`, slowly once there have been many steps; counters are copied."""
    decay = min(0.998, (1 + step) / (20 + step))
    with torch.no_grad():
        for target, source in zip(smooth.state_dict().values(), network.state_dict().values(), strict=True):
            if target.dtype.is_floating_point:
                target.lerp_(source.to(target.dtype), 1 - decay)
            else:
                target.copy_(source)
