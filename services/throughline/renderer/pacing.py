"""When a film that shows several cameras gets a new frame."""

from __future__ import annotations

from collections.abc import Iterable

from throughline.domain.time import NS_PER_MS

LEAST_NS = NS_PER_MS
"""Least distance of two frames of a film: no screen shows less, and ticks of 1/90000 s stay apart."""


def next_frame_ns(changes_ns: Iterable[int], last_ns: int, merge_ns: int) -> int | None:
    """When to show the next frame, given when each picture changes next; None when none does.

    Changes at most `merge_ns` apart come together with the last of them, so that two cameras a hair's breadth apart don't
    double the frames. Whatever is shown at that moment is right for it: frames are late by at most `merge_ns`, never early.
    """
    pending = sorted(changes_ns)
    if not pending:
        return None
    together = max(change for change in pending if change <= pending[0] + merge_ns)
    return max(together, last_ns + LEAST_NS)
