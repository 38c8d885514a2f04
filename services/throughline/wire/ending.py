"""How a process learns that it is to end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from queue import SimpleQueue


def catch_ending() -> Callable[[], int]:
    """From now on SIGTERM and SIGINT only end the wait that is returned, whether they come before it or in it.

    To be called in the main thread. A handler runs in the middle of whatever that thread does, which may hold the lock of an
    Event just then and would wait for itself for ever; putting into a SimpleQueue can be interrupted by putting into it.
    """
    caught: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: caught.put(number))
    return caught.get
