"""How a process that works on pictures uses its cores and its memory."""

from __future__ import annotations

import ctypes

import cv2

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Parameters of glibc's mallopt(3)."""
_KEPT_BYTES, _LARGEST_KEPT_BYTES = 64 << 20, 4 << 20


def tune_for_pictures() -> None:
    """Work on one picture in one thread, and keep memory that was freed for the next picture. To be called at the start of a process.

    Cameras share the cores already: two threads at a picture take a quarter more CPU than one. And the system clears every page that
    it gives out: memory that goes back and forth costs a hundred page faults with each frame.
    """
    cv2.setNumThreads(1)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
