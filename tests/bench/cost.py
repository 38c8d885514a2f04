"""Wall-clock and CPU seconds of a piece of work, those of a server's processes included."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil


@dataclass(slots=True)
class Cost:
    """Seconds. `cpu` is that of this process and all below it."""

    wall: float = 0.0
    cpu: float = 0.0


@contextlib.contextmanager
def cost() -> Iterator[Cost]:
    """Filled in when the block ends."""
    found = Cost()
    wall, cpu = time.perf_counter(), _cpu_seconds()
    yield found
    found.wall, found.cpu = time.perf_counter() - wall, _cpu_seconds() - cpu


def cores() -> int:
    return len(os.sched_getaffinity(0))


def _cpu_seconds() -> float:
    own = psutil.Process()
    total = 0.0
    for process in [own, *own.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total
